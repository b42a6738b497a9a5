// What this machine reaches on the calls of a run: each shape that matters is timed on a few rows, through the kernels
// that will run it, so that instruction set, threads, codec and bf16 are in the figure.

import {
  bytesOf,
  flopOf,
  headRows,
  type Attended,
  type DType,
  type KernelBackend,
  type Product,
  type Shape,
  type Slot,
  type StorageType,
  type Work,
} from "@welltempered/kernels";
import type { Rates } from "./cost.ts";

/** Seconds that probing may take. */
const BUDGET = 0.9;
/** Seconds of a product that is timed, about, tokens that it has at first, and elements of its weight. */
const SECONDS = 0.05;
const TRIED = 16;
const WEIGHT = 2 ** 25;
/** Share of all FLOP whose shapes are timed. */
const COVERED = 0.98;
/** A product with a side as narrow as an adapter's rank, against the others: an estimate, for shapes that were not timed. */
const NARROW = 0.3;
/** Bytes that are written between two calls, so that they find nothing in a cache: a step comes by all weights. */
const CACHES = 48 * 2 ** 20;
/** Elements that the other ops are timed on. */
const ROWS = 1024;
const WIDTH = 768;
/** What JavaScript adds to a call (op, tape, scope, the way into native code): an estimate. */
const CALL = 12e-6;

export interface Probed extends Rates {
  /** FLOP a second over the products of the run, and bytes a second of a sum. */
  flopPerSecond: number;
  bytesPerSecond: number;
}

export function probe(k: KernelBackend, work: readonly Work[]): Probed {
  const until = performance.now() + BUDGET * 1000;
  const timer = new Timer(k);
  const bytes = probeBytes(timer, new Set(work.map(({ op }) => op)));
  const attention = probeAttention(timer, work);
  const heads = probeHeads(timer, work);
  const [products, mean] = probeProducts(
    timer,
    work.filter(({ op }) => !heads.has(op)),
    until,
  );
  timer.dispose();
  const sum = bytes.get("binary") ?? Infinity;
  return {
    product: (product) => products.get(shapeOf(product)) ?? mean * (isNarrow(product) ? NARROW : 1),
    head: (op) => heads.get(op),
    attention: (op) => attention.get(op) ?? mean,
    bytes: (op) => bytes.get(op) ?? sum,
    call: CALL,
    flopPerSecond: mean,
    bytesPerSecond: sum,
  };
}

/** Products that differ in the number of tokens alone go at one speed. */
const shapeOf = ({ layout, m, n, k, type, rank = 0 }: Product): string =>
  `${layout} ${layout === "tn" ? m : k} ${n} ${type} ${rank}`;

const isNarrow = ({ layout, m, n, k }: Product): boolean => Math.min(n, layout === "tn" ? m : k) < 64;

/** Rates by `shapeOf`, and the mean over all that were timed. */
function probeProducts(timer: Timer, work: readonly Work[], until: number): [Map<string, number>, number] {
  const shapes = new Map<string, { product: Product; flop: number }>();
  for (const product of work.flatMap(({ products }) => products)) {
    const shape = shapes.get(shapeOf(product)) ?? { product, flop: 0 };
    // The largest stands for all: one row through the head is no measure of a thousand.
    const largest = flopOf(product) > flopOf(shape.product) ? product : shape.product;
    shapes.set(shapeOf(product), { product: largest, flop: shape.flop + flopOf(product) });
  }
  const all = [...shapes.values()].reduce((sum, { flop }) => sum + flop, 0);
  const rates = new Map<string, number>();
  let [covered, seconds] = [0, 0];
  for (const [name, { product, flop }] of [...shapes].sort(([, a], [, b]) => b.flop - a.flop)) {
    if (covered >= COVERED * all || (covered > 0 && performance.now() > until)) break;
    const rate = timeProduct(timer, smaller(product));
    rates.set(name, rate);
    covered += flop;
    seconds += flop / rate;
  }
  return [rates, covered === 0 ? Infinity : covered / seconds];
}

/** The same with a part of a weight that is large. */
function smaller(product: Product): Product {
  const { layout, m, n, k } = product;
  const inner = layout === "tn" ? m : k;
  // Whole blocks of every codec.
  const most = 256 * Math.max(1, Math.floor(WEIGHT / Math.min(inner, n) / 256));
  const [side, columns] = inner > n ? [Math.min(inner, most), n] : [inner, Math.min(n, most)];
  return layout === "tn" ? { ...product, m: side, n: columns } : { ...product, k: side, n: columns };
}

/** FLOP a second. */
function timeProduct(timer: Timer, product: Product): number {
  const { layout, n, k: depth, m, type } = product;
  const weight = layout === "tn" ? undefined : filled(timer.k, type, layout === "nt" ? [n, depth] : [depth, n]);
  const seconds = perToken(layout === "tn" ? depth : m, (tokens) =>
    secondsOf(timer, withTokens(product, tokens), weight),
  );
  if (weight !== undefined) timer.k.free(weight);
  return flopOf(withTokens(product, 1)) / seconds;
}

/** Seconds of a token where as many, of `all` at most, are timed as take `SECONDS` about: few go slower. */
function perToken(all: number, secondsOf: (tokens: number) => number): number {
  let tokens = Math.min(TRIED, all);
  let seconds = secondsOf(tokens);
  while (tokens < all && seconds < SECONDS / 2) {
    tokens = Math.min(all, Math.max(2 * tokens, Math.floor((tokens * SECONDS) / seconds)));
    seconds = secondsOf(tokens);
  }
  return seconds / tokens;
}

/** How to call an op that multiplies by the head and makes a loss of it. */
type Head = (k: KernelBackend, inputs: HeadInputs) => readonly Slot[];

interface HeadInputs {
  h: Slot;
  w: Slot;
  labels: Slot;
  /** One number a row: the gradient, and in place of the log-sum-exp. */
  g: Slot;
  needsH: boolean;
  needsW: boolean;
}

const headOps: Readonly<Record<string, Head>> = {
  linearCrossEntropy: (k, { h, w, labels, needsH, needsW }) => k.linearCrossEntropy(h, w, labels, 0, needsH, needsW),
  linearLogProb: (k, { h, w, labels }) => k.linearLogProb(h, w, labels, 0),
  linearLogProbBackward: (k, { h, w, labels, g, needsH, needsW }) =>
    k.linearLogProbBackward(g, h, w, labels, 0, g, needsH, needsW),
};

/** FLOP a second of the heads of the run, by op: their logits stay in a cache, which products alone would write out. */
function probeHeads(timer: Timer, work: readonly Work[]): Map<string, number> {
  const rates = new Map<string, number>();
  for (const [op, call] of Object.entries(headOps)) {
    const calls = work.filter((each) => each.op === op).map(({ products }) => products);
    const [largest] = calls.sort((a, b) => flopOfAll(b) - flopOfAll(a));
    if (largest !== undefined && flopOfAll(largest) > 0) rates.set(op, timeHead(timer, largest, call));
  }
  return rates;
}

const flopOfAll = (products: readonly Product[]): number => products.reduce((sum, product) => sum + flopOf(product), 0);

/** Of a head whose first product makes logits of all rows. */
function timeHead(timer: Timer, products: readonly Product[], call: Head): number {
  const { k } = timer;
  const [logits] = products as [Product];
  const { n: vocabulary, k: width, type } = smaller(logits);
  const needs = (layout: Product["layout"]): boolean => products.some((product) => product.layout === layout);
  const w = filled(k, type, [vocabulary, width]);
  const time = (rows: number): number => {
    const h = filled(k, "f32", [rows, width]);
    const g = filled(k, "f32", [rows]);
    const labels = k.upload("i32", [rows], new Uint8Array(4 * rows));
    const took = timer.seconds(() => call(k, { h, w, labels, g, needsH: needs("nn"), needsW: needs("tn") }));
    for (const slot of [h, g, labels]) k.free(slot);
    return took;
  };
  const seconds = ofChunk(headRows(logits.m), time);
  k.free(w);
  return (2 * vocabulary * width * products.length) / seconds;
}

/** Seconds of a row of `rows` that are made at once: packing the weight costs as much for few, so most are extrapolated. */
function ofChunk(rows: number, time: (rows: number) => number): number {
  if (rows <= 4 * TRIED) return time(rows) / rows;
  const [few, more] = [time(TRIED), time(4 * TRIED)];
  const row = Math.max(more / rows, (more - few) / (3 * TRIED));
  return (more + (rows - 4 * TRIED) * row) / rows;
}

const withTokens = (product: Product, tokens: number): Product =>
  product.layout === "tn" ? { ...product, k: tokens } : { ...product, m: tokens };

function secondsOf(timer: Timer, product: Product, weight: Slot | undefined): number {
  const { layout, m, k: depth, n, type, rank = 0 } = product;
  const { k } = timer;
  const a = filled(k, "f32", layout === "tn" ? [depth, m] : [m, depth]);
  const b = weight ?? filled(k, type, [depth, n]);
  const low =
    layout === "tn" || rank === 0
      ? undefined
      : { layout, u: filled(k, "f32", [m, rank]), v: filled(k, "f32", layout === "nt" ? [n, rank] : [rank, n]) };
  const call = () =>
    low === undefined ? k.matmul(layout, a, b, 1) : k.matmulLowRank(low.layout, a, b, low.u, low.v, 1);
  const seconds = timer.seconds(() => [call()]);
  for (const slot of low === undefined ? [a] : [a, low.u, low.v]) k.free(slot);
  if (weight === undefined) k.free(b);
  return seconds;
}

/**
 * Memory with numbers in it: pages that nothing was written to would all be one. A matrix is as various as a run's are, of rows that
 * come again: with equal ones a matrix unit is faster (a head of 64 ms for 93 on an Intel with AMX).
 */
function filled(k: KernelBackend, type: StorageType, shape: Shape): Slot {
  if (type !== "f32" && type !== "bf16" && type !== "f16")
    return k.upload(type, shape, new Uint8Array(bytesOf(type, shape)));
  const [rows = 0, width = 0] = shape;
  if (rows * width > 0) return repeated(k, type, rows, width);
  const x = k.alloc(type, shape);
  k.fill(x, 0.5);
  return x;
}

/** Rows of a random matrix. */
const VARIOUS = 64;

function repeated(k: KernelBackend, type: DType, rows: number, width: number): Slot {
  const table = k.uniform([Math.min(rows, VARIOUS), width], -1, 1, { seed: 1, stream: 0, step: 0, micro: 0, rank: 0 });
  const places = Int32Array.from({ length: rows }, (_, row) => row % VARIOUS);
  const ids = k.upload("i32", [rows], new Uint8Array(places.buffer));
  const x = k.takeRows(table, ids);
  const y = type === "f32" ? x : k.cast(x, type);
  for (const slot of [table, ids, ...(y === x ? [] : [x])]) k.free(slot);
  return y;
}

/** Times calls as a step makes them. */
class Timer {
  readonly k: KernelBackend;
  readonly #caches: Slot;

  constructor(k: KernelBackend) {
    this.k = k;
    this.#caches = filled(k, "f32", [CACHES / 4]);
  }

  /** The better of two with empty caches, after the first that pays for memory. */
  seconds(call: () => readonly Slot[]): number {
    const times = Array.from({ length: 3 }, (_, round) => {
      if (round > 0) this.k.fill(this.#caches, 0.5);
      const start = performance.now();
      const made = call();
      const end = performance.now();
      for (const slot of made) this.k.free(slot);
      return (end - start) / 1000;
    });
    return Math.min(...times.slice(1));
  }

  dispose(): void {
    this.k.free(this.#caches);
  }
}

/** Rates by op of attention as the costliest call has it, on segments of its longest. */
function probeAttention(timer: Timer, work: readonly Work[]): Map<string, number> {
  const calls = work.flatMap(({ attention }) => attention ?? []);
  const [largest] = calls.sort((a, b) => b.flop - a.flop);
  if (largest === undefined) return new Map();
  return timeAttention(timer, largest);
}

function timeAttention(timer: Timer, { headDim, queries, keys, longest }: Attended): Map<string, number> {
  const { k } = timer;
  const length = Math.min(512, longest);
  const segments = Math.max(1, Math.floor(512 / length));
  const rows = segments * length;
  const segment = (start: number): number[] => [start, length, 1, start, length];
  const layout = Int32Array.from(Array.from({ length: segments }, (_, i) => segment(i * length)).flat());
  const [q, key, value, g] = [queries, keys, keys, queries].map((width) => filled(k, "f32", [rows, width])) as [
    Slot,
    Slot,
    Slot,
    Slot,
  ];
  const places = k.upload("i32", [layout.length], new Uint8Array(layout.buffer));
  const options = { headDim, scale: headDim ** -0.5, window: 0, softCap: 0 };
  const forward = timer.seconds(() => k.attention(q, key, value, places, options));
  const [o, lse] = k.attention(q, key, value, places, options);
  const backward = timer.seconds(() => k.attentionBackward(g, q, key, value, o, lse, places, options));
  for (const slot of [q, key, value, g, places, o, lse]) k.free(slot);
  const pairs = (segments * length * (length + 1)) / 2;
  return new Map([
    ["attention", (4 * pairs * queries) / forward],
    ["attentionBackward", (10 * pairs * queries) / backward],
  ]);
}

/** How to call an op that reads and writes tensors of one size, and how many of them. */
type Elementwise = readonly [tensors: number, call: (k: KernelBackend, x: Slot, w: Slot, y: Slot) => readonly Slot[]];

const elementwise: Readonly<Record<string, Elementwise>> = {
  binary: [3, (k, x) => [k.binary("add", x, x)]],
  scale: [2, (k, x) => [k.scale(x, 0.5)]],
  copy: [2, (k, x) => [k.copy(x)]],
  accumulate: [3, (k, x, _w, y) => (k.accumulate(y, x, 0), [])],
  cast: [1.5, (k, x) => [k.cast(x, "bf16")]],
  rmsNorm: [2, (k, x, w) => k.rmsNorm(x, w, 1e-6)],
  addRmsNorm: [4, (k, x, w, y) => k.addRmsNorm(y, x, w, 1e-6)],
  swiglu: [3, (k, x, _w, y) => [k.swiglu(x, y)]],
  swigluBackward: [5, (k, x, _w, y) => k.swigluBackward(x, y, x)],
  geglu: [3, (k, x, _w, y) => [k.geglu(x, y)]],
  gegluBackward: [5, (k, x, _w, y) => k.gegluBackward(x, y, x)],
};

/** Ops that go at the speed of another. */
const alike: Readonly<Record<string, string>> = {
  rmsNormBackward: "rmsNorm",
  addRmsNormBackward: "addRmsNorm",
};

/** Bytes a second by op, of those that the run has. */
function probeBytes(timer: Timer, ops: ReadonlySet<string>): Map<string, number> {
  const { k } = timer;
  const x = filled(k, "f32", [ROWS, WIDTH]);
  const y = filled(k, "f32", [ROWS, WIDTH]);
  const w = filled(k, "f32", [WIDTH]);
  const rates = new Map<string, number>();
  const wanted = new Set(["binary", ...[...ops].map((op) => alike[op] ?? op)]);
  for (const [op, [tensors, call]] of Object.entries(elementwise))
    if (wanted.has(op)) rates.set(op, (tensors * 4 * ROWS * WIDTH) / timer.seconds(() => call(k, x, w, y)));
  for (const slot of [x, y, w]) k.free(slot);
  for (const [op, other] of Object.entries(alike)) rates.set(op, rates.get(other) ?? rates.get("binary") ?? Infinity);
  return rates;
}
