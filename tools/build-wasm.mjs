// node tools/build-wasm.mjs: crates/kernels-wasm → packages/kernels/wasm, by wasm-pack. Nothing is done where no source
// changed. With Rust's wasm32 target installed that is plain wasm-pack; on Debian, whose compiler comes with the sources
// of std, std is built along. Elsewhere it says why there will be no wasm backend, and ends well: only its tests are missing.
// With --require it fails then: a package that is published has them.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cache, has, hashFiles, once, root, run } from "./lib.mjs";

const versions = { bindgen: "0.2.129", pack: "0.15.1", binaryen: "132.0.0" };
const tools = join(cache, "wasm-tools");
const binaryen = join(tools, "npm/node_modules/.bin");
const crate = join(root, "crates/kernels-wasm");
const place = join(root, "packages/kernels/wasm");
const built = join(root, "target/wasm-pkg");
const module = "kernels_wasm_bg.wasm";
const products = { glue: "kernels_wasm.js", fused: "kernels_wasm_fused.wasm", plain: module };
const debian = { compiler: "/usr/bin/rustc", packages: ["rustc-web", "rust-web-src"] };

const inside = (folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((name) => /\.(rs|toml)$/.test(name))
    .sort()
    .map((name) => join(folder, name));

const sources = () =>
  [
    "Cargo.lock",
    "Cargo.toml",
    "tools/build-wasm.mjs",
    ...inside("crates/kernels/src"),
    ...inside("crates/kernels-wasm"),
    "crates/kernels/Cargo.toml",
  ].map((path) => join(root, path));

const output = (command, args) => spawnSync(command, args, { encoding: "utf8", cwd: root }).stdout?.trim() ?? "";
const sysroot = () => output("rustc", ["--print", "sysroot"]);
const hasTarget = () => existsSync(join(sysroot(), "lib/rustlib/wasm32-unknown-unknown/lib"));
const hasDebian = () =>
  debian.packages.every((name) => output("dpkg-query", ["-Wf${Status}", name]).endsWith(" installed"));

/** How this machine compiles for wasm32, or why it cannot. */
function route() {
  if (hasTarget()) return { env: {}, args: [] };
  const reason = hasDebian() ? undefined : installDebian();
  if (reason !== undefined) return { reason };
  const host = /^host: (.*)$/m.exec(output("rustc", ["-vV"]))?.[1];
  const linker = join(sysroot(), "lib/rustlib", host ?? "", "bin/rust-lld");
  if (!existsSync(linker)) return { reason: `there is no ${linker}` };
  return {
    env: { RUSTC: debian.compiler, RUSTC_BOOTSTRAP: "1", CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: linker },
    args: ["-Z", "build-std=std,panic_abort", "-Z", "build-std-features="],
  };
}

/** Why Debian's compiler cannot be had. */
function installDebian() {
  const missing = "Rust has no wasm32-unknown-unknown target (`rustup target add wasm32-unknown-unknown`)";
  if (!has("apt-get")) return missing;
  if (process.getuid?.() !== 0) return `${missing}, nor are Debian's ${debian.packages.join(" and ")} installed`;
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args) => run("apt-get", ["-qq", ...args], { quiet: true, env, allowFailure: true }).status === 0;
  const done = apt("update") && apt("install", "-y", "--no-install-recommends", ...debian.packages);
  return done && hasDebian() ? undefined : `${missing}, and apt-get could not install ${debian.packages.join(" and ")}`;
}

/** The tools run only here: compiled unoptimised, which takes a third of the time. */
function installTools() {
  const env = {
    CARGO_TARGET_DIR: join(tools, "target"),
    CARGO_PROFILE_RELEASE_OPT_LEVEL: "0",
    CARGO_PROFILE_RELEASE_LTO: "off",
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "16",
  };
  const cargo = (name, version, ...args) => {
    const binary = join(tools, "bin", name);
    if (output(binary, ["--version"]) === `${name} ${version}`) return;
    const crateName = name === "wasm-bindgen" ? "wasm-bindgen-cli" : name;
    const words = ["install", "-q", crateName, "--version", version, "--locked", "--force", "--root", tools, ...args];
    run("cargo", words, { quiet: true, env });
  };
  cargo("wasm-bindgen", versions.bindgen, "--no-default-features", "--bin", "wasm-bindgen");
  cargo("wasm-pack", versions.pack);
  once(join(tools, "binaryen"), versions.binaryen, () => {
    const words = ["install", "--prefix", join(tools, "npm"), "--no-audit", "--no-fund", "--silent"];
    run("npm", [...words, `binaryen@${versions.binaryen}`], { quiet: true });
  });
}

function pack({ env, args }) {
  installTools();
  const words = ["build", crate, "--mode", "force", "--release", "--target", "web", "--no-typescript", "--no-pack"];
  run("wasm-pack", [...words, "--out-dir", built, "--", "--locked", ...args], {
    quiet: true,
    env: {
      PATH: `${join(tools, "bin")}:${binaryen}:${process.env.PATH}`,
      CARGO_TARGET_DIR: join(root, "target/wasm"),
      // Loop strength reduction takes from every constant distance the promise not to wrap, without which it is no part
      // of the load but an instruction more: 2 to 5 % of a product's time.
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS: "-C target-feature=+relaxed-simd -C llvm-args=-disable-lsr",
      // Optimised once more together the crates are as fast, as large and as long in the making.
      CARGO_PROFILE_RELEASE_LTO: "off",
      CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "1",
      CARGO_PROFILE_RELEASE_PANIC: "abort",
      CARGO_PROFILE_RELEASE_STRIP: "none",
      ...env,
    },
  });
  mkdirSync(place, { recursive: true });
  copyFileSync(join(built, products.glue), join(place, products.glue));
  // wasm-opt was told the same.
  const features = readFileSync(join(crate, "Cargo.toml"), "utf8").match(/--enable-[a-z-]+/g);
  const text = join(built, "kernels_wasm.wat");
  run(join(binaryen, "wasm-dis"), [join(built, module), ...features, "-o", text], { quiet: true });
  const fused = withoutRelaxedExtremes(readFileSync(text, "utf8"));
  for (const [name, form] of [
    [products.fused, fused],
    [products.plain, inTwo(fused)],
  ]) {
    writeFileSync(text, form);
    run(join(binaryen, "wasm-as"), [text, ...features, "-o", join(place, name)], { quiet: true });
  }
}

/** A module's text with the comparisons that were meant: LLVM takes relaxed ones, of which NaN may come out or not. */
const withoutRelaxedExtremes = (text) => text.replace(/(?<=\(f(?:32x4|64x2)\.)relaxed_(?=min|max)/g, "p");

/** A module's text whose every multiply-add is a product and a sum: what a second compilation would give, which takes minutes. */
function inTwo(text) {
  const head = "(f32x4.relaxed_madd";
  const edits = [];
  for (let at = text.indexOf(head); at !== -1; at = text.indexOf(head, at + 1)) {
    const sum = at + head.length;
    edits.push({ at, until: sum, words: "(f32x4.add (f32x4.mul" });
    const factors = afterExpression(text, afterExpression(text, sum));
    edits.push({ at: factors, until: factors, words: ")" });
  }
  let done = 0;
  const pieces = [];
  for (const { at, until, words } of edits.sort((a, b) => a.at - b.at)) {
    pieces.push(text.slice(done, at), words);
    done = until;
  }
  const plain = [...pieces, text.slice(done)].join("");
  const left = /\([a-z0-9]+\.relaxed_[a-z0-9_]+/.exec(plain);
  if (left !== null) throw new Error(`nothing is known in place of ${left[0].slice(1)}`);
  return plain;
}

/** Behind the expression in parentheses that comes next. */
function afterExpression(text, from) {
  let at = text.indexOf("(", from) + 1;
  for (let open = 1; open > 0; at++) {
    if (text[at] === "(") open++;
    else if (text[at] === ")") open--;
  }
  return at;
}

/** Builds where a source changed. Returns why it could not, or undefined. */
export function buildWasm() {
  const key = hashFiles(sources());
  const stamp = join(place, ".built");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === key) return undefined;
  const found = route();
  if (found.reason !== undefined) {
    for (const name of [...Object.values(products), ".built"]) rmSync(join(place, name), { force: true });
    return found.reason;
  }
  once(stamp, key, () => pack(found));
  return undefined;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const reason = buildWasm();
  if (reason !== undefined) console.error(`no wasm kernels: ${reason}`);
  if (reason !== undefined && process.argv.includes("--require")) process.exit(3);
}
