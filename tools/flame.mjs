// node tools/flame.mjs: docs/img/step-<precision>.svg, a flame graph of bench/lora-step's LoRA step, from V8's sampling
// profiler on the thread that calls the kernels. A kernel is the method of the backend that runs it.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child } from "../bench/lib/child.mjs";
import { cpu } from "../bench/lib/machine.mjs";
import { inputs } from "../bench/lora-step/bench.mjs";
import { lora, shapes } from "../bench/lora-step/shapes.mjs";
import { oursOn } from "../bench/lora-step/variants.mjs";
import { root } from "./lib.mjs";
import { pythonEnvironment } from "./python/setup.mjs";

const steps = 8;
const [width, line, least] = [1200, 17, 0.002];

/** The profile of some steps, the first left in. */
async function profile(keys) {
  const { model, rows, length } = shapes["135m"];
  const folder = inputs(pythonEnvironment(), { model, rows, length, steps, ...lora });
  const out = mkdtempSync(join(tmpdir(), "flame-"));
  try {
    const options = ["--cpu-prof", "--cpu-prof-interval", "500", "--cpu-prof-dir", out];
    const child = new Child(process.execPath, [...options, ...oursOn(folder, "2", keys)]);
    await child.answer();
    for (let step = 0; step < steps; step++) await child.ask({ step });
    await child.close();
    return JSON.parse(readFileSync(join(out, readdirSync(out)[0]), "utf8"));
  } finally {
    rmSync(out, { recursive: true });
  }
}

/** Where a step begins, anew behind each await. */
const beginnings = new Set(["loss", "collate", "backward", "clipGradients", "zeroGrad"]);

/** { name, kind, value, children } of a step, calls of one name as one. */
function tree({ nodes, samples, timeDeltas }) {
  const times = new Map();
  samples.forEach((id, at) => times.set(id, (times.get(id) ?? 0) + timeDeltas[at]));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const whole = { name: "step", kind: "frame", value: 0, children: new Map() };
  const add = (node, parent) => {
    const { functionName, url } = node.callFrame;
    const [, place] = /\/(?:packages|bench)\/([^/]+)\//.exec(url) ?? [];
    const kind = place ?? "frame";
    // Anonymous functions belong to those around them, and so does what a method of the backend calls.
    const inside = functionName === "" || functionName === parent.name || parent.kind === "kernels";
    const own = inside ? parent : childOf(parent, functionName, kind);
    const value = (times.get(node.id) ?? 0) + sum(node.children ?? [], (id) => add(byId.get(id), own));
    if (own !== parent) own.value += value;
    return value;
  };
  const search = (node) => {
    const { functionName, url } = node.callFrame;
    if (beginnings.has(functionName) || (functionName === "step" && url.includes("/optimizers/")))
      whole.value += add(node, whole);
    else for (const id of node.children ?? []) search(byId.get(id));
  };
  search(nodes[0]);
  return whole;
}

function childOf(parent, name, kind) {
  if (!parent.children.has(name)) parent.children.set(name, { name, kind, value: 0, children: new Map() });
  return parent.children.get(name);
}

const sum = (items, f) => items.reduce((total, item) => total + f(item), 0);

const escape = (text) => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const colours = {
  kernels: "#f2a65a",
  tensor: "#7fb3d5",
  nn: "#8fd19e",
  models: "#8fd19e",
  peft: "#c39bd3",
  trainer: "#d5d8dc",
};

/** Rectangles of a node and of what lies on it, kernels and calls side by side, the widest first. */
function rectangles(node, x, depth, whole) {
  const w = (node.value / whole) * width;
  const share = ((100 * node.value) / whole).toFixed(1);
  const shown = w > 7 * 4 ? escape(node.name.slice(0, Math.floor(w / 6.6) - 1)) : "";
  const fill = colours[node.kind] ?? "#e5e8e8";
  const rectangle =
    `<g><title>${escape(node.name)} (${node.kind}) ${share} %</title>` +
    `<rect x="${x.toFixed(1)}" y="${depth * line}" width="${w.toFixed(1)}" height="${line - 1}" fill="${fill}" rx="1"/>` +
    `<text x="${(x + 3).toFixed(1)}" y="${depth * line + 12}">${shown}</text></g>`;
  const above = [...node.children.values()]
    .filter(({ value }) => value >= least * whole)
    .sort((a, b) => b.value - a.value);
  let left = x;
  return [
    rectangle,
    ...above.flatMap((child) => {
      const drawn = rectangles(child, left, depth + 1, whole);
      left += (child.value / whole) * width;
      return drawn;
    }),
  ];
}

const depthOf = (node, whole) =>
  1 +
  Math.max(
    0,
    ...[...node.children.values()].filter(({ value }) => value >= least * whole).map((child) => depthOf(child, whole)),
  );

function picture(node, title) {
  const height = (depthOf(node, node.value) + 1) * line + 8;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 ${-line - 6} ${width} ${height + line}" font-family="ui-monospace,monospace" font-size="11">`,
    `<rect x="0" y="${-line - 6}" width="${width}" height="${height + line}" fill="#fff"/>`,
    `<text x="3" y="-7" font-size="12">${escape(title)}</text>`,
    ...rectangles(node, 0, 0, node.value),
    "</svg>",
    "",
  ].join("\n");
}

const { model, core } = cpu();
mkdirSync(join(root, "docs/img"), { recursive: true });
for (const [precision, keys] of Object.entries({ f32: {}, bf16: { bf16: true } })) {
  const step = tree(await profile(keys));
  const title = `LoRA step, 135M, 2 × 512 tokens, ${precision}: the thread that calls the kernels, ${steps} steps. ${model} ${core}, 2 threads`;
  writeFileSync(join(root, `docs/img/step-${precision}.svg`), picture(step, title));
}
