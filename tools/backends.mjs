// node tools/backends.mjs: runs the conformance suite and writes docs/backends.md from what passed.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { root, run } from "./lib.mjs";

/** Columns, and what stands in one where no case ran. */
const columns = {
  reference: "",
  cpu: "",
  wasm: "",
  "cuda-emulated": "",
  "cuda-device": "not run",
};

const head = `# Ops and backends

What the conformance suite (\`tests/conformance\`) showed of each op of the contract (\`packages/kernels/src/backend.ts\`) on
each backend. \`node tools/backends.mjs\` runs the suite and writes this file: a cell is ✓ where every case that calls the op
passed; where one fails, nothing is written. The suite itself refuses a table that says something else.

- reference: the naive loops in f64, by which the others are judged; they are held against torch in
  \`packages/kernels/test\`. ✓ says that cases call the op.
- cpu, wasm: every output within four times the error of the naive loops in f32; cpu with the same bits on one thread
  and on two. wasm has one thread.
- cuda-emulated: the CUDA backend with its unmodified kernels, under the same bound, on a CPU that plays the driver, NVRTC
  and cuBLASLt (\`tools/cuda-on-cpu\`).
- cuda-device: not run: no machine with an NVIDIA GPU was at hand. The kernels are compiled for sm_80, sm_90 and newer
  (\`node tools/cuda-registers.mjs\`); \`node tools/gpu-check.mjs\` packs what runs the suite on one.
`;

/** The table of cells such as {"op": "rope", "backend": "wasm"}; rows by name. */
export function backendsTable(cells) {
  const unknown = cells.find(({ backend }) => !Object.hasOwn(columns, backend));
  if (unknown !== undefined) throw new Error(`there is no column for the backend ${JSON.stringify(unknown.backend)}`);
  const seen = new Set(cells.map(({ op, backend }) => `${op} ${backend}`));
  const line = (words) => `| ${words.join(" | ")} |`;
  const ops = [...new Set(cells.map(({ op }) => op))].sort();
  const mark = (op, backend) => (seen.has(`${op} ${backend}`) ? "✓" : columns[backend]);
  const titles = ["op", ...Object.keys(columns)];
  const rows = ops.map((op) => line([op, ...Object.keys(columns).map((backend) => mark(op, backend))]));
  return [line(titles), line(titles.map(() => "---")), ...rows].join("\n");
}

function collect() {
  const scratch = mkdtempSync(join(tmpdir(), "welltempered-cells-"));
  const file = join(scratch, "cells.jsonl");
  writeFileSync(file, "");
  const suite = "tests/conformance/conformance.test.ts";
  run("node_modules/.bin/vitest", ["run", suite], { env: { TEMPER_CELLS: file, CI: "true" } });
  const lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
  rmSync(scratch, { recursive: true });
  return lines.map((line) => JSON.parse(line));
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(join(root, "docs/backends.md"), `${head}\n${backendsTable(collect())}\n`);
