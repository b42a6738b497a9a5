#!/usr/bin/env node
import { readdirSync, statSync } from "node:fs";

const place = (path) => new URL(`../${path}`, import.meta.url);
const time = (url) => statSync(url, { throwIfNoEntry: false })?.mtimeMs;

/** The bundle; in a checkout where a package was compiled after it, the packages. */
function entry() {
  const [bundle, packages] = [place("bundle/index.js"), place("../")];
  const made = time(bundle) ?? 0;
  const newer = readdirSync(packages).some(
    (name) => (time(new URL(`${name}/dist/.tsbuildinfo`, packages)) ?? 0) > made,
  );
  return [newer ? place("dist/index.js") : bundle].find((url) => time(url) !== undefined);
}

const file = entry();
if (file !== undefined) {
  const { main } = await import(file.href);
  await main(process.argv.slice(2));
} else {
  process.stderr.write("error: temper is not built; run npm run setup\n");
  process.exitCode = 3;
}
