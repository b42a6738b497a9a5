// node tools/methods.mjs: runs the tests that show what a method can do (those that import cells.py or cells.ts), and
// writes docs/methods.md from those that passed.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { root, run } from "./lib.mjs";
import { pythonEnvironment } from "./python/setup.mjs";

const properties = {
  trains: "trains",
  gradients: "gradients",
  "resumes bit-exactly": "resumes to the same bits",
  "loads in peft": "loads in peft",
  "loads from peft": "loads from peft",
  merges: "merges",
};

const head = `# Methods and bases

What the tests show of each method on a base whose weights are stored so. \`node tools/methods.mjs\` runs them and writes
this file: a cell is ✓ where a test passed and empty where none looks; where one fails, nothing is written. A test refuses
a table with an empty cell.

- trains, gradients: on f32 and bf16 the reference library's run on the same numbers in f32, from the same adapter: the
  loss of each of 20 to 50 steps to 2e-6, the gradient norm to 2e-5, the weights at the end to 1e-4. On nf4, int8
  and eetq, whose codes are their libraries' own, and on GGUF, here a file of Q4_0, Q4_1, Q5_0, Q5_1, Q6_K and Q8_0 blocks:
  our run of 4 steps on the numbers that these stand for, losses to 1e-6, gradient norms to 1e-5. int8 counts every
  activation as an outlier there; rounded, it is bitsandbytes' layer to 1e-6.
- resumes to the same bits: a run continued from a checkpoint ends with the bytes of a whole one.
- loads in peft, loads from peft: logits equal to 1e-5 of the largest, a warning being an error. The adapter was trained on
  the base as it is stored and put on by peft on the same numbers in f32, and the other way about: those of bf16 and GGUF
  as transformers reads the file, those of the others from our export.
- merges: the weights are peft's merge into the numbers in f32, to 1e-6 of the largest; on bf16, which takes the sum
  rounded, to half a unit of its last bit more.

Words in place of ✓:

- refused: told in one line before the model is loaded.
- from adapters, as adapters: bottlenecks are no methods of peft. "from": a folder that the \`adapters\` library wrote gives
  the library's logits. "as": a folder with its names, shapes and settings, ours or one made for this base, gives the logits
  of its layers written in torch, which are held against the library's own.
- whole model, nothing to merge: a model trained itself is no adapter. transformers loads the folder, and the logits or
  weights are the same.
`;

/** The table of cells such as {"method": "dora", "base": "f32", "property": "trains"}; rows in order of appearance. */
export function methodsTable(cells) {
  const unknown = cells.find(({ property }) => !Object.hasOwn(properties, property));
  if (unknown !== undefined) throw new Error(`there is no column for the property ${JSON.stringify(unknown.property)}`);
  const floats = ["f32", "bf16"];
  const place = (base) => (floats.includes(base) ? floats.indexOf(base) : floats.length);
  const bases = [...new Set(cells.map(({ base }) => base))].sort().sort((a, b) => place(a) - place(b));
  const methods = [...new Set(cells.map(({ method }) => method))].sort();
  const seen = new Map(
    cells.map(({ method, base, property, mark = "✓" }) => [[method, base, property].join("\n"), mark]),
  );
  const mark = (...cell) => seen.get(cell.join("\n")) ?? "";
  const line = (words) => `| ${words.join(" | ")} |`;
  const rows = methods.flatMap((method) =>
    bases
      .filter((base) => cells.some((cell) => cell.method === method && cell.base === base))
      .map((base) => line([method, base, ...Object.keys(properties).map((property) => mark(method, base, property))])),
  );
  const titles = ["method", "base", ...Object.values(properties)];
  return [line(titles), line(titles.map(() => "---")), ...rows].join("\n");
}

/** Tracked files of a kind that record cells. */
function recording(pattern, word) {
  const { stdout } = run("git", ["ls-files", "-co", "--exclude-standard", pattern], { quiet: true });
  return stdout.split("\n").filter((path) => path !== "" && readFileSync(join(root, path), "utf8").includes(word));
}

function collect() {
  const scratch = mkdtempSync(join(tmpdir(), "welltempered-cells-"));
  const file = join(scratch, "cells.jsonl");
  writeFileSync(file, "");
  const env = { TEMPER_CELLS: file, OMP_NUM_THREADS: "2", HF_HUB_OFFLINE: "1" };
  const typescript = recording("packages/*/test/*.test.ts", 'from "./cells.ts"');
  run("node_modules/.bin/vitest", ["run", ...typescript], { env });
  const python = recording("tests/interop/test_*.py", "from cells import");
  run(pythonEnvironment(), ["-m", "pytest", "-q", ...python], { env });
  const lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
  rmSync(scratch, { recursive: true });
  return lines.map((line) => JSON.parse(line));
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(join(root, "docs/methods.md"), `${head}\n${methodsTable(collect())}\n`);
