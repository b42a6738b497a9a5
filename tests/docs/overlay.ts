// A copy of the packages that a guide's edits or a document's examples can be added to, and the compiler over it.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { root } from "./documents.ts";

const settings = {
  extends: "./tsconfig.base.json",
  compilerOptions: {
    lib: ["ES2024", "ESNext.Disposable"],
    noEmit: true,
    composite: false,
    incremental: false,
    declaration: false,
    isolatedDeclarations: false,
    sourceMap: false,
    rewriteRelativeImportExtensions: false,
    allowImportingTsExtensions: true,
    rootDir: ".",
    tsBuildInfoFile: null,
  },
  include: ["packages/*/src", "packages/*/test", "tests/conformance", "tests/examples"],
};

export class Overlay {
  readonly folder: string = mkdtempSync(join(tmpdir(), "welltempered-docs-"));

  constructor() {
    const parts = ["src", "test", "package.json", "tsconfig.json", "node_modules", "native", "wasm", "README.md"];
    for (const name of readdirSync(join(root, "packages")))
      for (const part of parts) this.#copy(`packages/${name}/${part}`);
    for (const part of ["tests", "crates", "tools", "tsconfig.base.json", "package.json"]) this.#copy(part);
    symlinkSync(join(root, "node_modules"), join(this.folder, "node_modules"));
    this.write("tsconfig.json", JSON.stringify(settings));
  }

  /** Links stay as they are: those between packages then lead to the copies. */
  #copy(path: string): void {
    if (!existsSync(join(root, path))) return;
    mkdirSync(dirname(join(this.folder, path)), { recursive: true });
    cpSync(join(root, path), join(this.folder, path), { recursive: true, verbatimSymlinks: true });
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.folder, path)), { recursive: true });
    writeFileSync(join(this.folder, path), text);
  }

  /** What the compiler says about everything here, one sentence each. */
  typecheck(): string[] {
    const compiler = join(root, "node_modules/.bin/tsc");
    const { stdout, status } = spawnSync(compiler, ["-p", "tsconfig.json", "--pretty", "false"], {
      cwd: this.folder,
      encoding: "utf8",
    });
    // Scripts of the repository have no types.
    const errors = stdout.split("\n").filter((line) => line !== "" && !line.includes("error TS7016"));
    return status === null ? ["the compiler did not run"] : errors;
  }

  /** What clippy says about the crates here; nothing where it is content. */
  clippy(): string {
    // One place for all runs, so that cargo takes them for the same packages.
    const place = join(root, "target/docs");
    rmSync(place, { recursive: true, force: true });
    cpSync(join(this.folder, "crates"), join(place, "crates"), { recursive: true });
    for (const name of ["Cargo.toml", "Cargo.lock"]) cpSync(join(root, name), join(place, name));
    const words = ["clippy", "--workspace", "--lib", "--tests", "--quiet", "--offline", "--", "-D", "warnings"];
    const env = { ...process.env, CARGO_TARGET_DIR: join(root, "target") };
    const { status, stderr, error } = spawnSync("cargo", words, { cwd: place, env, encoding: "utf8" });
    return status === 0 ? "" : `${error?.message ?? ""}${stderr}`;
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
