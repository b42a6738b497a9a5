// Every op that has a gradient, on small inputs: held against finite differences in f64 (gradients.test.ts), and on every
// backend against those (tests/conformance/gradients.test.ts).

import {
  activate,
  add,
  addRmsNorm,
  addConstant,
  attention,
  concatRows,
  cayleyBlocks,
  dropout,
  geglu,
  exp,
  linear,
  linearAdd,
  linearCrossEntropy,
  linearLogProb,
  logOneMinusExp,
  logSigmoid,
  lowRankLinear,
  matmul,
  matmulBlocks,
  mean,
  mul,
  permuteColumns,
  recompute,
  reshape,
  residualAdd,
  rmsNorm,
  rope,
  ropeTable,
  scale,
  scaleBy,
  skewBlocks,
  softCap,
  splitColumns,
  segmentSum,
  streamOf,
  sub,
  sum,
  swiglu,
  takeRows,
  type Engine,
  type Tensor,
} from "@welltempered/tensor";
import { numbers, type GradcheckInput } from "./finite-differences.ts";

export interface GradientCase {
  name: string;
  inputs: readonly GradcheckInput[];
  f: (...tensors: Tensor[]) => Tensor;
}

const input = (seed: number, ...shape: number[]) => ({
  data: numbers(
    shape.reduce((a, b) => a * b, 1),
    seed,
  ),
  shape,
});
const ids = (engine: Engine, ...values: number[]): Tensor => engine.tensor(Int32Array.from(values));

export function gradientCases(engine: Engine): GradientCase[] {
  const cases: GradientCase[] = [];
  const check = (name: string, inputs: readonly GradcheckInput[], f: (...tensors: Tensor[]) => Tensor) =>
    cases.push({ name, inputs, f });

  check("add", [input(1, 3, 4), input(2, 3, 4)], add);
  check("add of a row", [input(1, 3, 4), input(2, 4)], add);
  check("add of a tensor to itself", [input(1, 2, 3)], (x) => add(x, x));
  check("sub", [input(1, 3, 4), input(2, 3, 4)], sub);
  check("sub of a row", [input(1, 3, 4), input(2, 4)], sub);
  check("mul", [input(1, 3, 4), input(2, 3, 4)], mul);
  check("mul by a row", [input(1, 3, 4), input(2, 4)], mul);
  check("scale", [input(1, 3, 4)], (x) => scale(x, -2.5));
  check("scaleBy", [input(1, 3, 4), input(2, 1)], scaleBy);
  check("reshape", [input(1, 3, 4)], (x) => reshape(x, [2, 6]));
  check("sum", [input(1, 3, 4)], sum);
  check("addConstant", [input(1, 3, 4)], (x) => addConstant(x, -2.5));
  check("mean", [input(1, 3, 4)], mean);
  check("segmentSum, one segment empty", [input(1, 6)], (x) => segmentSum(x, [2, 0, 3, 1]));
  check("exp", [input(1, 3, 4)], exp);
  check("logSigmoid", [input(1, 3, 4)], (x) => logSigmoid(scale(x, 30)));
  check("logOneMinusExp", [input(1, 3, 4)], (x) => logOneMinusExp(addConstant(x, -1.5)));
  check("residualAdd", [input(1, 3, 4), input(2, 3, 4)], (x, y) => residualAdd(x, scale(y, 2)));
  check("matmul", [input(1, 3, 4), input(2, 4, 5)], matmul);
  check("linear", [input(1, 3, 4), input(2, 5, 4)], linear);
  check("linear through a frozen weight", [input(1, 3, 4), { ...input(2, 5, 4), frozen: true }], linear);
  check("linear of a frozen input", [{ ...input(1, 3, 4), frozen: true }, input(2, 5, 4)], linear);
  check("linear of one input and one weight twice", [input(1, 3, 4), input(2, 4, 4)], (x, w) =>
    add(linear(x, w), mul(linear(x, w), linear(linear(x, w), w))),
  );
  check("matmul of one tensor with itself", [input(1, 3, 3)], (x) => add(matmul(x, x), x));
  check("linearAdd", [input(1, 3, 5), input(2, 3, 2), input(3, 5, 2)], (base, x, w) =>
    linearAdd(scale(base, 1.5), x, w, 0.7),
  );
  const adapted = [input(1, 3, 4), input(2, 5, 4), input(3, 2, 4), input(4, 5, 2)] as const;
  const byFactor = (...[x, w, a, b]: Tensor[]): Tensor => lowRankLinear(x!, w!, a!, b!, 0.7);
  check("lowRankLinear", adapted, byFactor);
  for (const frozen of [0, 1, 2, 3])
    check(
      `lowRankLinear with input ${frozen} frozen`,
      adapted.map((one, index) => ({ ...one, frozen: index === frozen })),
      byFactor,
    );
  check("takeRows with a repeated row", [input(1, 4, 3)], (table) => takeRows(table, ids(engine, 2, 0, 2)));
  check("rmsNorm", [input(1, 3, 5), input(2, 5)], (x, w) => rmsNorm(x, w, 1e-5));
  check("rmsNorm with a frozen weight", [input(1, 3, 5), { ...input(2, 5), frozen: true }], (x, w) =>
    rmsNorm(x, w, 1e-5),
  );
  const normed = (x: Tensor, y: Tensor, w: Tensor): Tensor => mul(...addRmsNorm(x, scale(y, 2), w, 1e-5));
  const norms = [input(1, 3, 5), input(2, 3, 5), input(3, 5)] as const;
  check("addRmsNorm", norms, normed);
  check("addRmsNorm, its sum unused", norms, (x, y, w) => addRmsNorm(x, scale(y, 2), w, 1e-5)[1]);
  check(
    "addRmsNorm, its norm unused",
    [norms[0], norms[1], { ...norms[2], frozen: true }],
    (x, y, w) => addRmsNorm(x, scale(y, 2), w, 1e-5)[0],
  );
  check("addRmsNorm with a frozen weight", [norms[0], norms[1], { ...norms[2], frozen: true }], normed);
  check("addRmsNorm of a frozen stream", [{ ...norms[0], frozen: true }, norms[1], norms[2]], normed);
  check("addRmsNorm of a frozen delta", [norms[0], { ...norms[1], frozen: true }, norms[2]], normed);
  check("addRmsNorm whose outputs have one gradient", norms, (x, y, w) => add(...addRmsNorm(x, scale(y, 2), w, 1e-5)));
  check("addRmsNorm read twice more", norms, (x, y, w) => {
    const [sum, y1] = addRmsNorm(x, scale(y, 2), w, 1e-5);
    const [sum2, y2] = addRmsNorm(sum, scale(y1, 3), w, 1e-5);
    return add(mul(sum2, y2), sum);
  });
  check("addRmsNorm of each head", [input(1, 3, 6), input(2, 3, 6), input(3, 3)], normed);
  check("addRmsNorm with the weight around 0", norms, (x, y, w) => mul(...addRmsNorm(x, scale(y, 2), w, 1e-5, 1)));
  check("concatRows", [input(1, 2, 3), input(2, 4, 3)], concatRows);
  check("concatRows below a frozen table", [{ ...input(1, 2, 3), frozen: true }, input(2, 4, 3)], concatRows);
  check("reshape", [input(1, 3, 4)], (x) => reshape(x, [2, 6]));
  check("reshape of a shared input", [input(1, 3, 4)], (x) => residualAdd(reshape(x, [6, 2]), reshape(x, [6, 2])));
  check("relu", [input(1, 3, 4)], (x) => activate("relu", x));
  check("silu", [input(1, 3, 4)], (x) => activate("silu", x));
  check("tanh", [input(1, 3, 4)], (x) => activate("tanh", x));
  check("skewBlocks of upper triangles", [input(1, 2, 3)], (a) => skewBlocks(a, 3));
  check("skewBlocks of whole matrices", [input(1, 2, 9)], (a) => skewBlocks(a, 3));
  check("cayleyBlocks", [input(1, 2, 6)], (a) => cayleyBlocks(skewBlocks(a, 4)));
  check("matmulBlocks", [input(1, 3, 4), input(2, 2, 4)], (x, r) => matmulBlocks(x, r));
  check("matmulBlocks, transposed", [input(1, 3, 4), input(2, 2, 4)], (x, r) =>
    matmulBlocks(x, r, { transposed: true }),
  );
  check("matmulBlocks through frozen blocks", [input(1, 3, 4), { ...input(2, 2, 4), frozen: true }], (x, r) =>
    matmulBlocks(x, r),
  );
  check("permuteColumns", [input(1, 3, 4)], (x) => permuteColumns(x, ids(engine, 2, 0, 3, 1)));
  check("permuteColumns, inverse", [input(1, 3, 4)], (x) =>
    permuteColumns(x, ids(engine, 2, 0, 3, 1), { inverse: true }),
  );
  check("swiglu", [input(1, 3, 4), input(2, 3, 4)], swiglu);
  check("geglu", [input(1, 3, 4), input(2, 3, 4)], geglu);
  check("softCap", [input(1, 3, 4)], (x) => softCap(scale(x, 3), 1.3));
  check("splitColumns", [input(1, 3, 7)], (x) => {
    const [a, , c] = splitColumns(x, [3, 1, 3]);
    return add(mul(a!, c!), scale(c!, 2));
  });
  check("rmsNorm of each head", [input(1, 3, 6), input(2, 3)], (x, w) => rmsNorm(x, w, 1e-5));
  check("rmsNorm with the weight around 0", [input(1, 3, 5), input(2, 5)], (x, w) => rmsNorm(x, w, 1e-5, 1));
  check("dropout", [input(1, 5, 7)], (x) => dropout(x, 0.4, streamOf("test")));
  check("rope", [input(1, 3, 8)], (x) => rope(x, ropeTable(ids(engine, 0, 5, 2), Float64Array.of(1, 0.3)), 4));
  check("attention, two segments", [input(1, 5, 8), input(2, 5, 4), input(3, 5, 4)], (q, k, v) =>
    attention(q, k, v, ids(engine, 0, 2, 1, 0, 2, 2, 3, 1, 2, 3), { headDim: 2, scale: 0.8 }),
  );
  check("attention, two continuations of one prefix", [input(1, 6, 4), input(2, 6, 4), input(3, 6, 4)], (q, k, v) =>
    attention(q, k, v, ids(engine, 0, 2, 1, 0, 2, 2, 2, 2, 0, 2, 2, 2, 4, 2, 2, 0, 2, 4, 2), {
      headDim: 2,
      scale: 0.7,
    }),
  );
  const capped = { headDim: 2, scale: 0.8, window: 2, softCap: 0.6 };
  check("attention in a window, softly capped", [input(1, 5, 8), input(2, 5, 4), input(3, 5, 4)], (q, k, v) =>
    attention(q, k, v, ids(engine, 0, 1, 1, 0, 1, 1, 4, 1, 1, 4), capped),
  );
  check("linearCrossEntropy, softly capped", [input(1, 4, 3), input(2, 6, 3)], (h, w) =>
    linearCrossEntropy(h, w, ids(engine, 5, -100, 0, 2), 0.9),
  );
  check("linearLogProb, softly capped", [input(1, 4, 3), input(2, 6, 3)], (h, w) =>
    linearLogProb(h, w, ids(engine, 5, -100, 0, 2), 0.9),
  );
  check(
    "attention that looks both ways, a segment a query",
    [input(1, 3, 4), input(2, 3, 4), input(3, 3, 4)],
    (q, k, v) =>
      attention(q, k, v, ids(engine, 0, 1, 1, 0, 3, 1, 1, 1, 0, 3, 2, 1, 2, 0, 1, 2, 1), { headDim: 2, scale: 0.7 }),
  );
  check("linearCrossEntropy", [input(1, 4, 3), input(2, 6, 3)], (h, w) =>
    linearCrossEntropy(h, w, ids(engine, 5, -100, 0, 2)),
  );
  check("linearCrossEntropy through a frozen head", [input(1, 4, 3), { ...input(2, 6, 3), frozen: true }], (h, w) =>
    linearCrossEntropy(h, w, ids(engine, 5, -100, 0, 2)),
  );
  check("linearCrossEntropy of frozen states", [{ ...input(1, 4, 3), frozen: true }, input(2, 6, 3)], (h, w) =>
    linearCrossEntropy(h, w, ids(engine, 5, -100, 0, 2)),
  );
  check("linearLogProb", [input(1, 4, 3), input(2, 6, 3)], (h, w) => linearLogProb(h, w, ids(engine, 5, -100, 0, 2)));
  check("linearLogProb of frozen states", [{ ...input(1, 4, 3), frozen: true }, input(2, 6, 3)], (h, w) =>
    linearLogProb(h, w, ids(engine, 5, -100, 0, 2)),
  );
  check("a recomputed segment with dropout", [input(1, 3, 4), input(2, 4, 4)], (x, w) =>
    recompute(engine, [x, w], ([a, b]) => dropout(swiglu(linear(a!, b!), a!), 0.3, streamOf("again"))),
  );
  return cases;
}
