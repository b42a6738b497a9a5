// The command in a few files, `bundle/`, out of the six hundred of its packages and theirs: finding those took half of the
// time to the first line. @welltempered/kernels stays outside, as its native libraries lie beside it.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = join(here, "bundle");

const made = await rolldown({
  input: { index: join(here, "dist/index.js"), worker: join(here, "dist/worker.js") },
  platform: "node",
  external: "@welltempered/kernels",
});
rmSync(folder, { recursive: true, force: true });
// Files lie side by side, one below the package, as those of src: what is found by its place is found from here too.
const { output } = await made.write({
  dir: folder,
  format: "esm",
  entryFileNames: "[name].js",
  chunkFileNames: "[name]-[hash].js",
});
await made.close();
writeFileSync(join(folder, "LICENSES.txt"), licenses(output.flatMap(({ moduleIds = [] }) => moduleIds)));

/** The licenses of other people's packages that are in the bundle. */
function licenses(modules) {
  const packages = modules.map((path) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0]);
  return [...new Set(packages)]
    .filter((path) => path !== undefined)
    .toSorted()
    .map((path) => {
      const { name, version, license } = JSON.parse(readFileSync(join(path, "package.json"), "utf8"));
      const file = readdirSync(path).find((entry) => /^licen[cs]e/i.test(entry));
      if (file === undefined) throw new Error(`${name} comes without its license`);
      return `${name} ${version} (${license})\n\n${readFileSync(join(path, file), "utf8").trim()}\n`;
    })
    .join("\n----\n\n");
}
