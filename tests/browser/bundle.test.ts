// What a page may import: every package but the command line, bundled for a browser, asks nothing of Node.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "vite";
import { describe, expect, it } from "vitest";

const packages = [
  "checkpoint",
  "config",
  "data",
  "events",
  "formats",
  "generate",
  "kernels",
  "models",
  "nn",
  "optimizers",
  "peft",
  "rlhf",
  "tensor",
  "tokenizer",
  "trainer",
];
const ENTRY = "entry.js";
const wasm = fileURLToPath(new URL("../../packages/kernels/wasm/kernels_wasm.js", import.meta.url));

/** Bundles a module of this text; returns what it imports of Node, and from where. */
async function nodeImports(text: string, conditions: string[]): Promise<string[]> {
  const found: string[] = [];
  const watch: Plugin = {
    name: "watch",
    enforce: "pre",
    resolveId(id, importer) {
      if (importer === undefined) return fileURLToPath(new URL(ENTRY, import.meta.url));
      if (!id.startsWith("node:")) return undefined;
      found.push(`${id} in ${importer?.replace(/.*\/packages\//, "")}`);
      return { id, external: true };
    },
    load: (id) => (id.endsWith("/browser/entry.js") ? text : undefined),
  };
  await build({
    configFile: false,
    logLevel: "silent",
    plugins: [watch],
    resolve: { conditions },
    build: { write: false, minify: false, lib: { entry: ENTRY, formats: ["es"] } },
  });
  return found;
}

describe.skipIf(!existsSync(wasm))("the packages in a browser", () => {
  it("import nothing of Node", async () => {
    const text = packages.map((name) => `export * as ${name} from "@welltempered/${name}";`).join("\n");
    expect(await nodeImports(text, ["browser", "module", "import", "default"])).toEqual([]);
  });

  it("have types there, which the page of examples/browser is checked against", () => {
    const { status, stdout } = spawnSync("node_modules/.bin/tsc", ["-p", "examples/browser"], {
      cwd: fileURLToPath(new URL("../../", import.meta.url)),
      encoding: "utf8",
    });
    expect(status, stdout).toBe(0);
  });

  it("are watched: the entry for Node is found out", async () => {
    const text = 'export * from "@welltempered/data";';
    expect(await nodeImports(text, ["module", "import", "default"])).toContain("node:fs in data/dist/read/disk.js");
  });
});
