// Every op of the contract on shapes drawn at random, with 0, 1, odd extents and extents that fit no tile among them.
// A case builds its inputs on the backend it is given, in f32 or f64, and returns what is to be compared. Long as the
// contract has ops.

import type { Codec, CodedMoments, DType, GgufCodec, KernelBackend, RngKey, Shape, Slot } from "@welltempered/kernels";

export interface Case {
  name: string;
  run(k: KernelBackend, dtype: "f32" | "f64"): Slot[];
}

/** Uniform numbers in [0, 1) (mulberry32), the same in every run. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const ROWS = [0, 1, 2, 3, 5, 8, 17, 31, 64, 67, 130];
const COLUMNS = [1, 2, 3, 7, 16, 31, 48, 65, 100, 192, 257];
const key: RngKey = { seed: 2 ** 45 + 11, stream: 0xdeadbeef, step: 3, micro: 1, rank: 2 };

/** Draws shapes and numbers of one case. Numbers are f32, so that f64 starts from the same values. */
class Draw {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = randomNumbers(seed);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  below(n: number): number {
    return Math.floor(this.#next() * n);
  }

  floats(shape: Shape, spread = 1): (k: KernelBackend, dtype: DType) => Slot {
    const length = shape.reduce((product, axis) => product * axis, 1);
    const values = Float32Array.from({ length }, () => spread * (this.#next() + this.#next() + this.#next() - 1.5));
    return (k, dtype) => {
      const x = k.upload("f32", shape, new Uint8Array(values.buffer.slice(0)));
      return dtype === "f32" ? x : k.cast(x, dtype);
    };
  }

  ints(length: number, value: (i: number) => number): (k: KernelBackend) => Slot {
    const values = Int32Array.from({ length }, (_, i) => value(i));
    return (k) => k.upload("i32", [length], new Uint8Array(values.buffer.slice(0)));
  }
}

type Make = (draw: Draw) => Case;

const elementwise: Make[] = [
  (draw) => {
    const shape = [draw.pick(ROWS), draw.pick(COLUMNS)];
    const [a, b, row] = [draw.floats(shape), draw.floats(shape), draw.floats(shape.slice(1))];
    const run: Case["run"] = (k, t) =>
      (["add", "sub", "mul"] as const).flatMap((kind) => [
        k.binary(kind, a(k, t), b(k, t)),
        k.binary(kind, a(k, t), row(k, t)),
        k.binary(kind, a(k, t), row(k, "bf16")),
      ]);
    return { name: `binary [${shape}]`, run };
  },
  (draw) => {
    const shape = [draw.pick(ROWS), draw.pick(COLUMNS)];
    const x = draw.floats(shape, 8);
    const run: Case["run"] = (k, t) => [
      ...(["exp", "logSigmoid", "step"] as const).map((kind) => k.unary(kind, x(k, t))),
      k.unary("sqrt", k.binary("mul", x(k, t), x(k, t))),
      // Of negative numbers alone.
      k.unary("logOneMinusExp", k.scale(k.unary("exp", x(k, t)), -1)),
    ];
    return { name: `unary [${shape}]`, run };
  },
  (draw) => {
    const shape = [draw.pick(ROWS), draw.pick(COLUMNS)];
    const [x, y, s] = [draw.floats(shape), draw.floats(shape), draw.floats([1])];
    const run: Case["run"] = (k, t) => {
      const acc = y(k, t);
      k.accumulate(acc, x(k, t), -0.75);
      return [k.scale(x(k, t), 1.7), k.scaleBy(x(k, t), s(k, t)), k.softCap(x(k, t), 0.6), acc];
    };
    return { name: `scale, scaleBy, softCap, accumulate [${shape}]`, run };
  },
  (draw) => {
    const shape = [draw.pick([...ROWS, 1000]), draw.pick(COLUMNS)];
    const x = draw.floats(shape);
    return {
      name: `sum, sumRows, gradNorm [${shape}]`,
      run: (k, t) => [k.sum(x(k, t)), k.sumRows(x(k, t)), k.gradNorm([x(k, t)])],
    };
  },
  (draw) => {
    const shape = [draw.pick(ROWS), draw.pick([...COLUMNS, 5000])];
    const x = draw.floats(shape);
    return { name: `argmax [${shape}]`, run: (k, t) => k.argmax(x(k, t)) };
  },
  (draw) => {
    const shape = [draw.pick(ROWS), draw.pick(COLUMNS)];
    const [g, gate, up] = [draw.floats(shape), draw.floats(shape, 4), draw.floats(shape)];
    const run: Case["run"] = (k, t) => [
      k.swiglu(gate(k, t), up(k, t)),
      ...k.swigluBackward(g(k, t), gate(k, t), up(k, t)),
      k.geglu(gate(k, t), up(k, t)),
      ...k.gegluBackward(g(k, t), gate(k, t), up(k, t)),
    ];
    return { name: `swiglu, geglu [${shape}]`, run };
  },
  (draw) => {
    const shape = [draw.pick(ROWS), draw.pick(COLUMNS)];
    const [g, x] = [draw.floats(shape), draw.floats(shape, 4)];
    const run: Case["run"] = (k, t) =>
      (["relu", "silu", "tanh"] as const).flatMap((kind) => [
        k.activate(kind, x(k, t)),
        k.activateBackward(kind, g(k, t), x(k, t)),
      ]);
    return { name: `activate [${shape}]`, run };
  },
  (draw) => {
    const shape = [draw.pick(ROWS), draw.pick(COLUMNS)];
    const x = draw.floats(shape);
    const p = draw.pick([0, 0.05, 0.5, 0.9]);
    return { name: `dropout ${p} [${shape}]`, run: (k, t) => [k.dropout(x(k, t), p, key)] };
  },
];

const rows: Make[] = [
  (draw) => {
    const [n, v, d] = [draw.pick(ROWS), draw.pick([1, 5, 100]), draw.pick(COLUMNS)];
    const [table, g] = [draw.floats([v, d]), draw.floats([n, d])];
    const ids = draw.ints(n, () => draw.below(v));
    const run: Case["run"] = (k, t) => [
      k.takeRows(table(k, t), ids(k)),
      k.cast(k.takeRows(table(k, "bf16"), ids(k)), t),
      k.cast(k.takeRows(table(k, "f16"), ids(k)), t),
      k.scatterAddRows(g(k, t), ids(k), v),
    ];
    return { name: `takeRows, scatterAddRows ${n} of [${v},${d}]`, run };
  },
  (draw) => {
    const [n, d] = [draw.pick(ROWS), draw.pick(COLUMNS)];
    const [dst, src] = [draw.floats([n + 5, d]), draw.floats([n, d])];
    const ids = draw.ints(n, (i) => (i * 7 + 3) % (n + 5));
    const run: Case["run"] = (k, t) => {
      const cache = dst(k, t);
      k.writeRows(cache, ids(k), src(k, t));
      return [cache];
    };
    return { name: `writeRows ${n} of [${n + 5},${d}]`, run };
  },
  (draw) => {
    const [n, widths] = [draw.pick(ROWS), [draw.pick(COLUMNS), draw.pick([0, 5]), draw.pick(COLUMNS)]];
    const x = draw.floats([n, widths.reduce((sum, width) => sum + width, 0)]);
    const run: Case["run"] = (k, t) => {
      const parts = k.splitColumns(x(k, t), widths);
      return [...parts, k.joinColumns(parts.toReversed())];
    };
    return { name: `splitColumns, joinColumns ${n} rows of ${widths}`, run };
  },
];

const layers: Make[] = [
  (draw) => {
    const [m, n, kk] = [draw.pick(ROWS), draw.pick(COLUMNS), draw.pick([0, ...COLUMNS])];
    const layout = draw.pick(["nn", "nt", "tn"] as const);
    const a = draw.floats(layout === "tn" ? [kk, m] : [m, kk]);
    const b = draw.floats(layout === "nt" ? [n, kk] : [kk, n]);
    const c = draw.floats([m, n]);
    const run: Case["run"] = (k, t) => [
      k.matmul(layout, a(k, t), b(k, t), 0.5),
      k.matmul(layout, a(k, t), b(k, "bf16"), 1),
      k.matmul(layout, a(k, t), b(k, "f16"), 1),
      k.matmul(layout, a(k, "bf16"), b(k, t), 1),
      k.matmul(layout, a(k, t), b(k, t), -1.5, c(k, t)),
    ];
    return { name: `matmul ${layout} ${m}×${kk}×${n}`, run };
  },
  (draw) => {
    const [m, n, kk] = [draw.pick(ROWS), draw.pick(COLUMNS), draw.pick([0, ...COLUMNS])];
    const [layout, rank] = [draw.pick(["nn", "nt"] as const), draw.pick([0, 1, 4, 9])];
    const right = (depth: number) => draw.floats(layout === "nt" ? [n, depth] : [depth, n]);
    const [a, b, u, v] = [draw.floats([m, kk]), right(kk), draw.floats([m, rank]), right(rank)];
    const c = draw.floats([m, n]);
    const run: Case["run"] = (k, t) => [
      k.matmulLowRank(layout, a(k, t), b(k, t), u(k, t), v(k, t), 0.5),
      k.matmulLowRank(layout, a(k, t), b(k, "bf16"), u(k, t), v(k, "bf16"), 1),
      k.matmulLowRank(layout, a(k, t), b(k, t), u(k, t), v(k, t), -1.5, c(k, t)),
    ];
    return { name: `matmulLowRank ${layout} ${m}×${kk}×${n} of rank ${rank}`, run };
  },
  (draw) => {
    const [n, d] = [draw.pick(ROWS), draw.pick([...COLUMNS, 576])];
    const heads = draw.pick([1, 1, 3]);
    const [g, x, w] = [draw.floats([n, heads * d]), draw.floats([n, heads * d], 3), draw.floats([d])];
    const run: Case["run"] = (k, t) => {
      const [y, rstd] = k.rmsNorm(x(k, t), w(k, t), 1e-5);
      return [y, rstd, ...k.rmsNormBackward(g(k, t), x(k, t), w(k, t), rstd, true)];
    };
    return { name: `rmsNorm [${n},${heads}·${d}]`, run };
  },
  (draw) => {
    const [n, d] = [draw.pick(ROWS), draw.pick([...COLUMNS, 576])];
    const shape = [n, draw.pick([1, 1, 3]) * d];
    const [sum, dsum] = [draw.floats(shape), draw.floats(shape)];
    const [g, x, w] = [draw.floats(shape), draw.floats(shape, 3), draw.floats([d])];
    const run: Case["run"] = (k, t) => {
      const [s, ds] = [sum(k, t), dsum(k, t)];
      const [y, rstd] = k.addRmsNorm(s, x(k, t), w(k, t), 1e-5);
      return [s, y, rstd, ...k.addRmsNormBackward(ds, g(k, t), s, w(k, t), rstd, true), ds];
    };
    return { name: `addRmsNorm [${shape}] of ${d}`, run };
  },
  (draw) => {
    const [n, heads, headDim] = [draw.pick(ROWS), draw.pick([1, 3]), draw.pick([2, 6, 16, 64])];
    const pairs = draw.pick([headDim / 2, Math.ceil(headDim / 4)]);
    const x = draw.floats([n, heads * headDim]);
    const positions = draw.ints(n, () => draw.below(4000));
    const frequencies = Float64Array.from({ length: pairs }, (_, i) => 10000 ** (-i / pairs));
    const run: Case["run"] = (k, t) => {
      const [cos, sin] = k.ropeTable(positions(k), frequencies, 1);
      return [cos, sin]
        .map((table) => k.cast(table, t))
        .concat([false, true].map((inverse) => k.rope(x(k, t), cos, sin, headDim, inverse)));
    };
    return { name: `rope [${n},${heads}·${headDim}], ${pairs} pairs`, run };
  },
];

const rotations: Make[] = [
  (draw) => {
    const [n, size, count] = [draw.pick(ROWS), draw.pick([1, 2, 4, 7, 16, 33, 48]), draw.pick([0, 1, 3, 20])];
    const [triangles, matrices] = [draw.floats([count, (size * (size - 1)) / 2]), draw.floats([count, size ** 2])];
    const [x, g] = [draw.floats([n, count * size]), draw.floats([n, count * size])];
    const run: Case["run"] = (k, t) => {
      const q = k.skewBlocks(triangles(k, t), size);
      const [y, p] = [k.cayleyBlocks(q), k.skewBlocks(matrices(k, t), size)];
      const products = (["nn", "nt"] as const).map((layout) => k.matmulBlocks(layout, x(k, t), y, size));
      const backward = [true, false].map((packed) => k.skewBlocksBackward(p, packed));
      return [q, y, p, ...products, ...backward, k.matmulBlocks("tn", x(k, t), g(k, t), size)];
    };
    return { name: `rotations of ${count} blocks of ${size}, ${n} rows`, run };
  },
  (draw) => {
    const [n, d] = [draw.pick(ROWS), draw.pick(COLUMNS)];
    // 1009 is prime and above every d: a permutation.
    const [x, order] = [draw.floats([n, d]), draw.ints(d, (i) => (i * 1009) % d)];
    const run: Case["run"] = (k, t) => [false, true].map((inverse) => k.permuteColumns(x(k, t), order(k), inverse));
    return { name: `permuteColumns [${n},${d}]`, run };
  },
];

const decompositions: Make[] = [
  (draw) => {
    const [n, d] = [1 + draw.pick(ROWS), draw.pick(COLUMNS)];
    const x = draw.floats([n, d]);
    const rank = 1 + draw.below(Math.min(n, d, 16));
    // A pair of vectors may come with both signs turned: their squares and their product do not tell.
    const run: Case["run"] = (k, t) =>
      [-1, 2].flatMap((iterations) => {
        const [u, s, vt] = k.svd(x(k, t), rank, iterations, key);
        return [k.binary("mul", u, u), s, k.binary("mul", vt, vt), k.matmul("nn", u, vt, 1)];
      });
    return { name: `svd [${n},${d}] of rank ${rank}`, run };
  },
];

/** Layouts of the kinds the library makes: packed rows, rows behind a shared prefix, decoding against a cache. */
function layoutOf(kind: string, draw: Draw): { numbers: number[]; queries: number; keys: number } {
  const lengths = Array.from({ length: 1 + draw.below(4) }, () => 1 + draw.pick([0, 1, 4, 30, 64, 100]));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  let at = 0;
  const starts = lengths.map((length) => (at += length) - length);
  if (kind === "packed") {
    const numbers = lengths.flatMap((length, i) => [starts[i] as number, length, 1, starts[i] as number, length]);
    return { numbers, queries: total + 2, keys: total };
  }
  if (kind === "prefix") {
    const prefix = lengths[0] as number;
    const rest = lengths.slice(1).flatMap((length, i) => {
      const start = starts[i + 1] as number;
      return [start, length, 2, 0, prefix, start, length];
    });
    return { numbers: [0, prefix, 1, 0, prefix, ...rest], queries: total, keys: total };
  }
  const numbers = lengths.flatMap((length, i) => [i, 1, 1, starts[i] as number, length]);
  return { numbers, queries: lengths.length, keys: total };
}

const attention: Make[] = [
  (draw) => {
    const kind = draw.pick(["packed", "prefix", "decode"]);
    const { numbers, queries, keys } = layoutOf(kind, draw);
    const [keyHeads, group, headDim] = [draw.pick([1, 2]), draw.pick([1, 3]), draw.pick([4, 17, 64])];
    const [q, g] = [
      draw.floats([queries, keyHeads * group * headDim]),
      draw.floats([queries, keyHeads * group * headDim]),
    ];
    const [kk, v] = [draw.floats([keys, keyHeads * headDim]), draw.floats([keys, keyHeads * headDim])];
    const layout = draw.ints(numbers.length, (i) => numbers[i] as number);
    const scale = headDim ** -0.5;
    const [window, softCap] = [draw.pick([0, 0, 2, 7, 70, 1000]), draw.pick([0, 0, 0.8, 50])];
    const run: Case["run"] = (k, t) => {
      const inputs = [q(k, t), kk(k, t), v(k, t)] as const;
      const options = { headDim, scale, window, softCap };
      const [o, lse] = k.attention(...inputs, layout(k), options);
      return [o, lse, ...k.attentionBackward(g(k, t), ...inputs, o, lse, layout(k), options)];
    };
    return {
      name: `attention ${kind} ${queries}×${keys}, ${keyHeads * group}/${keyHeads} heads of ${headDim}, window ${window}, cap ${softCap}`,
      run,
    };
  },
];

const losses: Make[] = [
  (draw) => {
    const [n, d, vocab] = [draw.pick(ROWS), draw.pick(COLUMNS), draw.pick([1, 2, 33, 257, 1000])];
    const [h, w] = [draw.floats([n, d]), draw.floats([vocab, d])];
    const labels = draw.ints(n, () => (draw.below(4) === 0 ? -100 : draw.below(vocab)));
    const cap = draw.pick([0, 3]);
    const run: Case["run"] = (k, t) => [
      ...k.linearCrossEntropy(h(k, t), w(k, t), labels(k), cap, true, true),
      ...k.linearCrossEntropy(h(k, t), w(k, "bf16"), labels(k), cap, true, false),
      ...k.linearCrossEntropy(h(k, t), w(k, t), labels(k), cap, false, false),
    ];
    return { name: `linearCrossEntropy ${n}×${d}×${vocab}, cap ${cap}`, run };
  },
  (draw) => {
    const [n, d, vocab] = [draw.pick(ROWS), draw.pick(COLUMNS), draw.pick([1, 2, 33, 257, 1000])];
    const [g, h, w] = [draw.floats([n]), draw.floats([n, d]), draw.floats([vocab, d])];
    const some = draw.ints(n, () => (draw.below(4) === 0 ? -100 : draw.below(vocab)));
    const all = draw.ints(n, () => draw.below(vocab));
    const cap = draw.pick([0, 3]);
    const run: Case["run"] = (k, t) => {
      const [logp, lse] = k.linearLogProb(h(k, t), w(k, t), some(k), cap);
      const gradients = k.linearLogProbBackward(g(k, t), h(k, t), w(k, t), some(k), cap, lse, true, true);
      return [logp, ...gradients, ...k.linearLogProb(h(k, t), w(k, "f16"), all(k), cap)];
    };
    return { name: `linearLogProb ${n}×${d}×${vocab}, cap ${cap}`, run };
  },
];

const optimizers: Make[] = [
  (draw) => {
    const shapes = [[draw.pick(ROWS), draw.pick(COLUMNS)], [draw.pick(COLUMNS)]];
    const tensors = [0, 1, 2].map(() => shapes.map((shape) => draw.floats(shape)));
    const adam = { lr: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 };
    const nesterov = draw.pick([true, false]);
    const sgd = { lr: 0.1, momentum: 0.9, nesterov, weightDecay: 0.1 };
    const run: Case["run"] = (k, t) => {
      const [p, g, m] = tensors.map((list) => list.map((make) => make(k, t))) as [Slot[], Slot[], Slot[]];
      const v = g.map((x) => k.binary("mul", x, x));
      const step = k.alloc("f32", [1]);
      const [scale, skip] = k.clipFactor(k.gradNorm(g), 1);
      for (let i = 0; i < 3; i++) k.adamw(p, g, m, v, step, scale, skip, adam);
      for (let i = 0; i < 2; i++) k.sgd(p, g, m, step, scale, skip, sgd);
      return [...p, ...m, ...v, k.cast(step, t)];
    };
    return { name: `adamw and sgd on ${shapes.map((shape) => `[${shape}]`).join(" ")}`, run };
  },
  (draw) => {
    const [rows, columns] = [draw.pick(ROWS), draw.pick(COLUMNS)];
    const tensors = [0, 1].map(() => draw.floats([rows, columns]));
    const decay = { lr: 0.01, weightDecay: 0.1 };
    const run: Case["run"] = (k, t) => {
      const [p, g] = tensors.map((make) => make(k, t)) as [Slot, Slot];
      const [m, step, scale, skip] = [
        k.alloc(t, [rows, columns]),
        k.alloc("f32", [1]),
        k.alloc(t, [1]),
        k.alloc(t, [1]),
      ];
      const [rowMoments, columnMoments] = [k.alloc(t, [rows]), k.alloc(t, [columns])];
      const blocks = Math.ceil((rows * columns) / 256);
      const coded = (): CodedMoments => ({ codes: [k.alloc("u8", [rows, columns])], scales: [k.alloc(t, [blocks])] });
      const [mean, square] = [coded(), coded()];
      k.fill(scale, 0.5);
      for (let i = 0; i < 3; i++) {
        k.lion([p], [g], [m], step, scale, skip, { ...decay, beta1: 0.9, beta2: 0.99 });
        const factored = { ...decay, epsilon: 1e-30, clip: 1, decayRate: -0.8 };
        k.adafactor([p], [g], [rowMoments], [columnMoments], step, scale, skip, factored);
        const adam = { ...decay, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        k.adamw8bit([p], [g], mean, square, step, scale, skip, adam);
      }
      const codes = [...mean.codes, ...square.codes].map((slot) => k.cast(slot, t));
      return [p, m, rowMoments, columnMoments, ...codes, ...mean.scales, ...square.scales];
    };
    return { name: `lion, adafactor and adamw8bit on [${rows},${columns}]`, run };
  },
  (draw) => {
    const [rows, columns] = [draw.pick(ROWS), draw.pick(COLUMNS)];
    const tensors = [0, 1].map(() => draw.floats([rows, columns]));
    const decay = { lr: 0.01, weightDecay: 0.1 };
    // Parameters and states of bf16 in the place of f32: naive f32 then errs by the rounding, of which all have one.
    const run: Case["run"] = (k, t) => {
      const held = t === "f32" ? "bf16" : t;
      const [values, g] = tensors.map((make) => make(k, t)) as [Slot, Slot];
      const narrow = (): [p: Slot, m: Slot, v: Slot] => [
        k.cast(k.cast(values, "bf16"), held),
        k.alloc(held, [rows, columns]),
        k.alloc(held, [rows, columns]),
      ];
      const [adam, momentum, lion] = [narrow(), narrow(), narrow()];
      const [step, skip] = [k.alloc("f32", [1]), k.alloc("f32", [1])];
      const scale = k.alloc("f32", [1]);
      k.fill(scale, 0.5);
      const betas = { ...decay, beta1: 0.875, beta2: 0.96875 };
      k.adamw([adam[0]], [g], [adam[1]], [adam[2]], step, scale, skip, { ...betas, epsilon: 1e-8 });
      k.sgd([momentum[0]], [g], [momentum[1]], step, scale, skip, { ...decay, momentum: 0.875, nesterov: true });
      k.lion([lion[0]], [g], [lion[1]], step, scale, skip, betas);
      return [...adam, momentum[0], momentum[1], lion[0], lion[1]].map((x) => k.cast(x, t));
    };
    return { name: `adamw, sgd and lion in bf16 on [${rows},${columns}]`, run };
  },
];

/** Weights and bytes a block, and where its half-precision scales lie. */
const blockLayouts: Readonly<Record<GgufCodec, [weights: number, bytes: number, ...scales: number[]]>> = {
  q4_0: [32, 18, 0],
  q4_1: [32, 20, 0, 2],
  q5_0: [32, 22, 0],
  q5_1: [32, 24, 0, 2],
  q8_0: [32, 34, 0],
  iq4_nl: [32, 18, 0],
  q2_k: [256, 84, 80, 82],
  q3_k: [256, 110, 108],
  q4_k: [256, 144, 0, 2],
  q5_k: [256, 176, 0, 2],
  q6_k: [256, 210, 208],
};

const madeCodecs: readonly Codec[] = [
  // bitsandbytes
  "nf4/64",
  "nf4/32/double",
  "fp4/128",
  "fp4/64/double",
  "llm_int8/0",
  "llm_int8/0.5",
  // EETQ
  "eetq",
];

/** A weight [rows, columns] in each codec: random blocks with small scales, and numbers quantised. */
function codedWeights(draw: Draw, [rows, columns]: readonly [number, number]): ((k: KernelBackend) => Slot)[] {
  const fitting = Object.entries(blockLayouts).filter(([, [weights]]) => columns % weights === 0);
  const read = fitting.map(([codec, [weights, size, ...scales]]) => {
    const bytes = Uint8Array.from({ length: ((rows * columns) / weights) * size }, (_, i) =>
      scales.some((at) => i % size === at || i % size === at + 1) ? 0x21 : draw.below(256),
    );
    return (k: KernelBackend) => k.upload(codec as GgufCodec, [rows, columns], bytes);
  });
  const numbers = draw.floats([rows, columns]);
  const made = madeCodecs.map((codec) => (k: KernelBackend) => k.cast(numbers(k, "f32"), codec));
  return [...read, ...made];
}

const codecs: Make[] = [
  (draw) => {
    // Few rows, many, and as many as there are threads for; rows that end inside blocks of 64.
    const [m, n, kk] = [
      draw.pick([0, 1, 5, 9, 31, 130]),
      draw.pick([1, 3, 40, 65, 257]),
      draw.pick([32, 96, 288, 512]),
    ];
    const layout = draw.pick(["nt", "nn"] as const);
    const weights = codedWeights(draw, [n, kk]);
    const a = draw.floats(layout === "nt" ? [m, kk] : [m, n]);
    const run: Case["run"] = (k, t) => weights.map((weight) => k.matmul(layout, a(k, t), weight(k), 0.5));
    return { name: `matmul ${layout} by a weight in a codec ${m}×[${n},${kk}]`, run };
  },
  (draw) => {
    const [n, v, d] = [draw.pick(ROWS), draw.pick([1, 5, 100]), draw.pick([32, 96, 256])];
    const weights = codedWeights(draw, [v, d]);
    const h = draw.floats([n, d]);
    const ids = draw.ints(n, () => draw.below(v));
    const run: Case["run"] = (k, t) =>
      weights.flatMap((weight) => [
        k.cast(k.takeRows(weight(k), ids(k)), t),
        ...k.linearCrossEntropy(h(k, t), weight(k), ids(k), 0, true, false),
      ]);
    return { name: `takeRows and linearCrossEntropy ${n} of a weight in a codec [${v},${d}]`, run };
  },
];

const exact: Make[] = [
  (draw) => {
    const shape = [draw.pick(ROWS), draw.pick(COLUMNS)];
    return {
      name: `uniform, normal [${shape}]`,
      run: (k, t) => [k.uniform(shape, -2, 3, key), k.normal(shape, 1, 2, key)].map((x) => k.cast(x, t)),
    };
  },
  (draw) => {
    const weights = codedWeights(draw, [draw.pick([0, 1, 6]), 256]);
    return { name: "dequantise", run: (k, t) => weights.map((weight) => k.cast(weight(k), t)) };
  },
];

const families: Make[] = [
  ...elementwise,
  ...rows,
  ...layers,
  ...attention,
  ...losses,
  ...optimizers,
  ...codecs,
  ...exact,
  ...rotations,
  ...decompositions,
];
const DRAWS = 16;

export const cases: Case[] = families.flatMap((make, family) =>
  Array.from({ length: DRAWS }, (_, i) => make(new Draw(family * 1000 + i))),
);
