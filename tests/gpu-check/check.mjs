// Checks the cuda backend on the machine with the GPU, within ten minutes: each part in a process of its own and with a
// share of the time, so that one that fails or hangs is noted and the others go on. tools/gpu-check.mjs packs it.
// Options: --small (an emulator), --python <interpreter>, --seconds <all of it>.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeBackends } from "@welltempered/kernels";
import { benchRun } from "../../bench/gpu/bench.mjs";
import { oursOnRequest } from "../../bench/gpu/ours.mjs";
import { benchCases } from "../../bench/gpu/shapes.mjs";
import { Child } from "../../bench/lib/child.mjs";
import { cpu } from "../../bench/lib/machine.mjs";
import { root } from "../../tools/lib.mjs";
import { conformance, gradients } from "./conformance.mjs";
import { besideReference, sharedCurves, training } from "./curves.mjs";
import { goals, judgements } from "./judge.mjs";
import { attention, products } from "./speed.mjs";
import { table } from "./table.mjs";

const device = () => describeBackends().backends.find(({ name }) => name === "cuda");
const parts = { device, conformance, gradients, training, sharedCurves, products, attention };
const self = fileURLToPath(import.meta.url);

/** Of 600 seconds those of each part; the benchmark has the rest, its runs these shares of it. */
const shares = {
  device: 20,
  conformance: 100,
  gradients: 25,
  training: 45,
  sharedCurves: 30,
  reference: 60,
  products: 20,
  attention: 20,
};
const benchShares = [30, 25, 15, 15, 15];
/** Beyond a share, before a part is ended. */
const GRACE = 10;

/** bf16 products a second of the datasheet, dense, of these cards: 989 TFLOP/s. */
const datasheet = (name) => (/\bH[12]00\b/.test(name) ? 989e12 : undefined);

const seconds = () => performance.now() / 1000;
const say = (text) => console.error(text);

/** Runs a part in another process; what it gave, or { error }. */
async function part(name, small) {
  const [began, limit] = [seconds(), shares[name]];
  const options = JSON.stringify({ small, seconds: limit });
  const child = new Child(process.execPath, [...process.execArgv, self, "part", name, options]);
  const result = await child.answer(limit + GRACE).catch((error) => ({ error: `${name}: ${error.message}` }));
  await child.close();
  say(`${name}: ${(seconds() - began).toFixed(1)} s`);
  return result;
}

const offline = { HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false", PYTHONUNBUFFERED: "1" };
const pythonChild = (python, file) => new Child(python, [join(root, file)], offline);

/** Lines of gpu_curves.py, as many as come in time. */
async function referenceCurves(python) {
  const [child, lines, end] = [pythonChild(python, "tools/python/gpu_curves.py"), [], seconds() + shares.reference];
  try {
    while (lines.length < 3) lines.push(await child.answer(Math.max(1, end - seconds())));
  } catch (error) {
    say(`error: ${error.message}`);
  }
  await child.close();
  return lines;
}

async function curvesBesideReference(small, python) {
  const ours = await part("sharedCurves", small);
  if (ours.error !== undefined) return ours;
  return besideReference(ours, await referenceCurves(python));
}

/** The side of the benchmark that stays between its runs; undefined where Python lacks what it needs. */
async function openReference(python) {
  const child = pythonChild(python, "bench/gpu/reference.py");
  try {
    return { child, facts: await child.answer(shares.reference) };
  } catch (error) {
    await child.close();
    return { facts: { error: error.message } };
  }
}

async function benchmark({ small, python, end, product, name }) {
  const startOurs = (run) =>
    new Child(process.execPath, [...process.execArgv, self, "part", "ours", JSON.stringify(run)]);
  let reference = await openReference(python);
  const { facts } = reference;
  const results = [];
  for (const [i, run] of benchCases(small).entries()) {
    if (reference.child?.ended) reference = await openReference(python);
    const rest = benchShares.slice(i).reduce((sum, share) => sum + share, 0);
    const until = seconds() + ((end - seconds()) * benchShares[i]) / rest;
    const context = { startOurs, reference: reference.child, product, datasheet: datasheet(name) };
    const failed = (error) => ({ name: run.name, cut: [], error: error.message });
    results.push(await benchRun(run, until, context).catch(failed));
    say(`${run.name}: ${Math.max(0, end - seconds()).toFixed(0)} s left`);
  }
  await reference.child?.close();
  return { facts, results };
}

/** The commit that was packed, or that of this checkout. */
function commit() {
  const packed = join(root, "commit.json");
  if (existsSync(packed)) return JSON.parse(readFileSync(packed, "utf8"));
  const git = (...words) => execFileSync("git", words, { cwd: root, encoding: "utf8" }).trim();
  return { commit: git("rev-parse", "HEAD"), uncommittedChanges: git("status", "--porcelain") !== "" };
}

const notes = [
  "memory of the device: what all processes use of it, by cuMemGetInfo through torch, before a side's model and after its first steps; ours includes its context, the reference's was there before",
  "memory in tensors: ours the most bytes that lived in tensors after any call, workspaces apart; the reference's torch.cuda.max_memory_allocated",
];

async function check({ small, python, end }) {
  const found = await part("device", small);
  if (!found.available) {
    say(`error: ${found.detail ?? found.error}`);
    process.exit(3);
  }
  say(found.detail);
  const measured = {
    conformance: await part("conformance", small),
    gradients: await part("gradients", small),
    training: await part("training", small),
    curves: await curvesBesideReference(small, python),
    products: await part("products", small),
    attention: await part("attention", small),
  };
  const bf16 = Array.isArray(measured.products) ? measured.products.find(({ type }) => type === "bf16") : undefined;
  const product = bf16 === undefined ? undefined : 1e12 * bf16.teraflops;
  const { facts, results } = await benchmark({ small, python, end, product, name: found.detail });
  return { device: found.detail, reference: facts, ...measured, bench: results };
}

/** Writes bench/results/<device>-<date>.json. */
function save(result, small) {
  const name = /^[^(]*/
    .exec(result.device)[0]
    .trim()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-");
  const folder = join(root, "bench/results");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}-${result.date.slice(0, 10)}${small ? "-small" : ""}.json`);
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  return file;
}

function show({ table: lines, judgements: judged, goals: wanted, seconds: taken }) {
  const width = Math.max(...[...lines, ...judged.map(({ what }) => [what])].map(([what]) => what.length));
  for (const [what, value] of lines) console.log(`${what.padEnd(width)}  ${value}`);
  for (const { what, ok, detail } of judged) console.log(`${what.padEnd(width)}  ${ok ? "right" : "WRONG"}: ${detail}`);
  for (const { what, reached } of wanted)
    console.log(`${reached === null ? "not measured" : reached ? "reached" : "MISSED"}: ${what}`);
  console.log(`${taken.toFixed(0)} s`);
}

async function main(words) {
  const options = { small: { type: "boolean" }, python: { type: "string" }, seconds: { type: "string" } };
  const { small = false, python = "python3", seconds: all = "600" } = parseArgs({ args: words, options }).values;
  // One GPU, the same for both sides, opened whatever it computes: what differs is what this is to find.
  process.env.CUDA_VISIBLE_DEVICES = (process.env.CUDA_VISIBLE_DEVICES ?? "0").split(",")[0];
  process.env.TEMPER_CUDA_UNCHECKED = "1";
  const began = seconds();
  for (const name of Object.keys(shares)) shares[name] *= Number(all) / 600;
  const measured = await check({ small, python, end: began + Number(all) - GRACE });
  const machine = { cpu: cpu(), memoryBytes: totalmem(), node: process.version };
  const result = { date: new Date().toISOString(), ...commit(), small, ...machine, ...measured, notes };
  Object.assign(result, { seconds: seconds() - began, judgements: judgements(result), goals: goals(result) });
  show({ ...result, table: table(result) });
  console.log(save(result, small));
  process.exit(result.judgements.every(({ ok }) => ok) ? 0 : 1);
}

const [mode, name, text] = process.argv.slice(2);
if (mode !== "part") await main(process.argv.slice(2));
else if (name === "ours") await oursOnRequest(JSON.parse(text));
else {
  const failed = ({ message }) => ({ error: message });
  console.log(JSON.stringify(await new Promise((work) => work(parts[name](JSON.parse(text)))).catch(failed)));
}
