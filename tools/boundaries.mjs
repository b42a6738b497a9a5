// Arrows only point down: fails on an import that is not in the list below, and on a cycle.
// The list is explicit, package by package: a new arrow is a decision, made here, in a review.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./lib.mjs";

const runtime = ["kernels", "tensor"];
const domain = ["nn", "models", "peft", "optimizers", "data", "checkpoint", "tokenizer", "formats", "config", "events"];

/** Package → what it may depend on. */
export const allowed = {
  kernels: ["kernels-napi", "kernels-wasm"],
  "kernels-napi": ["rust-kernels", "rust-kernels-cuda"],
  "kernels-wasm": ["rust-kernels"],
  "rust-kernels": [],
  "rust-kernels-cuda": ["rust-kernels"],
  formats: [],
  events: [],
  config: ["events", "formats"],
  tokenizer: ["formats"],
  tensor: ["kernels"],
  nn: runtime,
  checkpoint: ["formats", ...runtime],
  models: ["nn", ...runtime],
  peft: ["nn", "checkpoint", ...runtime],
  optimizers: ["nn", ...runtime],
  data: ["formats", "tokenizer"],
  generate: ["models", "nn", ...runtime],
  rlhf: ["tensor"],
  trainer: ["rlhf", "generate", ...domain, ...runtime],
  cli: ["trainer", "generate", ...domain, ...runtime],
  welltempered: ["cli", "trainer", "rlhf", "generate", ...domain, ...runtime],
  "example-browser": ["trainer", "config", "events", "kernels"],
  bench: ["welltempered", "cli", "trainer", "rlhf", "generate", ...domain, ...runtime],
  tests: ["welltempered", "cli", "trainer", "rlhf", "generate", ...domain, ...runtime],
};

const short = (name) => name.replace("@welltempered/", "");

/** Sentences about what is wrong with a graph of `nx graph --file`; none for a good one. */
export function violations(graph) {
  const edges = Object.entries(graph.dependencies).flatMap(([source, targets]) =>
    targets.filter(({ target }) => target in graph.nodes).map(({ target }) => [short(source), short(target)]),
  );
  const forbidden = edges
    .filter(([source, target]) => !(allowed[source] ?? []).includes(target))
    .map(([source, target]) => `${source} → ${target} is not in the list of tools/boundaries.mjs`);
  return [...forbidden, ...cycles(edges)];
}

function cycles(edges) {
  const next = Map.groupBy ? Map.groupBy(edges, ([source]) => source) : group(edges);
  const done = new Set();
  const found = [];
  const visit = (node, path) => {
    if (path.includes(node)) {
      found.push(`cycle: ${[...path.slice(path.indexOf(node)), node].join(" → ")}`);
      return;
    }
    if (done.has(node)) return;
    for (const [, target] of next.get(node) ?? []) visit(target, [...path, node]);
    done.add(node);
  };
  for (const [source] of edges) visit(source, []);
  return found;
}

function group(edges) {
  const groups = new Map();
  for (const edge of edges) groups.set(edge[0], [...(groups.get(edge[0]) ?? []), edge]);
  return groups;
}

export function readGraph() {
  const folder = mkdtempSync(join(tmpdir(), "welltempered-graph-"));
  try {
    const file = join(folder, "graph.json");
    run("node_modules/.bin/nx", ["graph", `--file=${file}`], {
      quiet: true,
      env: { NX_DAEMON: "false", NX_NO_CLOUD: "true" },
    });
    return JSON.parse(readFileSync(file, "utf8")).graph;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = violations(readGraph());
  for (const sentence of found) console.error(`error: boundaries: ${sentence}`);
  process.exit(found.length === 0 ? 0 : 1);
}
