// node tools/lengths.mjs [folder]: median and longest file and function of a checkout, TypeScript and Rust, in lines.
// TypeScript is parsed by what vitest brings along, as TypeScript 7 has no parser to call; arrow functions of one line
// count too. One of Rust begins at `fn` and ends, as rustfmt lays code out, at the first `}` that stands as deep as that line.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const vite = createRequire(createRequire(import.meta.url).resolve("vitest/package.json")).resolve("vite");
const { parseSync } = await import(pathToFileURL(vite).href);
const functionTypes = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"]);

/** [first line, number of lines] of each function of a TypeScript or JavaScript text. */
export function typescriptFunctions(path, text) {
  const lineOf = (at) => text.slice(0, at).split("\n").length;
  const found = [];
  const visit = (node) => {
    if (node === null || typeof node !== "object") return;
    if (functionTypes.has(node.type) && node.body !== null)
      found.push([lineOf(node.start), lineOf(node.end) - lineOf(node.start) + 1]);
    for (const child of Object.values(node)) visit(child);
  };
  visit(parseSync(path, text).program);
  return found;
}

/** The same of a Rust text; declarations without a body are none. */
export function rustFunctions(text) {
  const lines = text.split("\n");
  return lines.flatMap((line, first) => {
    const head = /^(\s*)(?:pub(?:\([^)]*\))? )?(?:(?:const|async|unsafe|extern "C") )*fn \w/.exec(line);
    if (head === null) return [];
    const opens = lines.findIndex((each, at) => at >= first && /[{;]\s*(\/\/.*)?$|\}$/.test(each));
    if (opens < 0 || /;\s*(\/\/.*)?$/.test(lines[opens])) return [];
    if (lines[opens].endsWith("}")) return [[first + 1, opens - first + 1]];
    const last = lines.findIndex((each, at) => at > opens && each === `${head[1]}}`);
    return last < 0 ? [] : [[first + 1, last - first + 1]];
  });
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted.length === 0 ? 0 : (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[sorted.length >> 1]) / 2;
}

function row(name, entries) {
  const longest = entries.reduce((most, entry) => (entry.lines > most.lines ? entry : most), { lines: 0, where: "-" });
  return `${name.padEnd(32)} ${String(entries.length).padStart(6)}  median ${median(entries.map(({ lines }) => lines))}, longest ${longest.lines} (${longest.where})`;
}

const groups = [
  ["TypeScript, packages' sources", (path) => /^packages\/[^/]+\/src\/.*\.ts$/.test(path)],
  ["TypeScript, tests", (path) => /^(tests|packages\/[^/]+\/test)\/.*\.(ts|mjs)$/.test(path)],
  ["JavaScript, tools", (path) => /^tools\/.*\.(ts|mjs)$/.test(path)],
  ["Rust", (path) => /^crates\/.*\.rs$/.test(path)],
];

function main(folder) {
  const listed = execFileSync("git", ["ls-files"], { cwd: folder, encoding: "utf8" }).split("\n");
  for (const [name, belongs] of groups) {
    const files = listed.filter(belongs).map((path) => ({ path, text: readFileSync(join(folder, path), "utf8") }));
    const functions = files.flatMap(({ path, text }) => {
      const found = path.endsWith(".rs") ? rustFunctions(text) : typescriptFunctions(path, text);
      return found.map(([first, lines]) => ({ lines, where: `${path}:${first}` }));
    });
    const sizes = files.map(({ path, text }) => ({ lines: text.split("\n").length - 1, where: path }));
    process.stdout.write(`${row(`${name}: files`, sizes)}\n${row(`${name}: functions`, functions)}\n`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv[2] ?? ".");
