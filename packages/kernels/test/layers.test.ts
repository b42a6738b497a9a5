import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { openBackend } from "../src/index.ts";
import type { ActivationKind, KernelBackend, Slot } from "../src/index.ts";
import { key } from "./calls.ts";
import { devices, get, put } from "./support.ts";

interface Stored {
  shape: number[];
  values: number[];
}
type Inputs = (name: string) => Slot;
type Run = (k: KernelBackend, at: Inputs, integers: (name: string) => Slot) => [name: string, slot: Slot][];

const fixture = new URL("../../../fixtures/kernels/torch-ops.json", import.meta.url);
const torch = JSON.parse(readFileSync(fixture, "utf8")) as {
  cases: Record<string, Record<string, Stored>>;
};

const layout = [0, 4, 1, 0, 4, 4, 6, 1, 4, 6];

const activation =
  (kind: ActivationKind): Run =>
  (k, at) => [
    ["y", k.activate(kind, at("x"))],
    ["dx", k.activateBackward(kind, at("g"), at("x"))],
  ];

/** Each op and its gradients, under the names that torch's values have. */
const runs: Record<string, Run> = {
  relu: activation("relu"),
  silu: activation("silu"),
  tanh: activation("tanh"),
  exp: (k, at) => [["y", k.unary("exp", at("x"))]],
  logSigmoid: (k, at) => [["y", k.unary("logSigmoid", at("x"))]],
  logOneMinusExp: (k, at) => [["y", k.unary("logOneMinusExp", at("x"))]],
  sqrt: (k, at) => [["y", k.unary("sqrt", k.binary("mul", at("x"), at("x")))]],
  "svd of 5 × 8": decomposed(-1),
  "svd of 8 × 5": decomposed(-1),
  rmsNorm(k, at) {
    const [y, rstd] = k.rmsNorm(at("x"), at("w"), 1e-5);
    const [dx, dw] = k.rmsNormBackward(at("g"), at("x"), at("w"), rstd, true) as [Slot, Slot];
    return [
      ["y", y],
      ["dx", dx],
      ["dw", dw],
    ];
  },
  addRmsNorm(k, at) {
    const [sum, w] = [k.copy(at("delta")), at("w")];
    const [y, rstd] = k.addRmsNorm(sum, at("x"), w, 1e-5);
    const [dsum, g] = k.splitColumns(at("g"), [12, 12]) as [Slot, Slot];
    const [dw] = k.addRmsNormBackward(dsum, g, sum, w, rstd, true) as [Slot];
    return [
      ["y", k.joinColumns([sum, y])],
      ["dx", dsum],
      ["ddelta", dsum],
      ["dw", dw],
    ];
  },
  swiglu(k, at) {
    const [dgate, dup] = k.swigluBackward(at("g"), at("gate"), at("up"));
    return [
      ["y", k.swiglu(at("gate"), at("up"))],
      ["dgate", dgate],
      ["dup", dup],
    ];
  },
  rope(k, at) {
    const frequencies = Float64Array.from(torch.cases["rope"]?.["frequencies"]?.values ?? []);
    const [cos, sin] = k.ropeTable(put(k, [3, 4, 5, 6, 7], [5], "i32"), frequencies, 1);
    return [
      ["y", k.rope(at("x"), cos, sin, 8, false)],
      ["dx", k.rope(at("g"), cos, sin, 8, true)],
    ];
  },
  geglu(k, at) {
    const [dgate, dup] = k.gegluBackward(at("g"), at("gate"), at("up"));
    return [
      ["y", k.geglu(at("gate"), at("up"))],
      ["dgate", dgate],
      ["dup", dup],
    ];
  },
  attention: attending(0, 0),
  "attention in a window of 3, capped at 0.7": attending(3, 0.7),
  linearCrossEntropy: crossEntropy(0),
  "linearCrossEntropy capped at 1.5": crossEntropy(1.5),
  linearLogProb: logProb(0),
  "linearLogProb capped at 1.5": logProb(1.5),
  rotations(k, at) {
    const [x, g, rotation] = [at("x"), at("g"), k.cayleyBlocks(k.skewBlocks(at("a"), 3))];
    const y = k.matmulBlocks("nn", x, rotation, 3);
    k.accumulate(y, x, 1);
    const dx = k.matmulBlocks("nt", g, rotation, 3);
    k.accumulate(dx, g, 1);
    return [
      ["y", y],
      ["dx", dx],
    ];
  },
};

/** A product of the vectors has no sign to choose. */
function decomposed(iterations: number): Run {
  return (k, at) => {
    const [u, s, vt] = k.svd(at("x"), 3, iterations, key);
    return [
      ["y", k.matmul("nn", u, vt, 1)],
      ["s", s],
    ];
  };
}

function attending(window: number, softCap: number): Run {
  return (k, at) => {
    const segments = put(k, layout, [layout.length], "i32");
    const inputs = [at("q"), at("k"), at("v")] as const;
    const options = { headDim: 8, scale: 8 ** -0.5, window, softCap };
    const [o, lse] = k.attention(...inputs, segments, options);
    const [dq, dk, dv] = k.attentionBackward(at("g"), ...inputs, o, lse, segments, options);
    return [
      ["y", o],
      ["dq", dq],
      ["dk", dk],
      ["dv", dv],
    ];
  };
}

function crossEntropy(softCap: number): Run {
  return (k, at, integers) => {
    const made = k.linearCrossEntropy(at("h"), at("w"), integers("labels"), softCap, true, true);
    const [sum, dh, dw] = made as [Slot, Slot, Slot];
    return [
      ["y", sum],
      ["dh", k.scaleBy(dh, at("g"))],
      ["dw", k.scaleBy(dw, at("g"))],
    ];
  };
}

function logProb(softCap: number): Run {
  return (k, at, integers) => {
    const [logp, lse] = k.linearLogProb(at("h"), at("w"), integers("labels"), softCap);
    const made = k.linearLogProbBackward(at("g"), at("h"), at("w"), integers("labels"), softCap, lse, true, true);
    const [dh, dw] = made as [Slot, Slot];
    return [
      ["y", logp],
      ["dh", dh],
      ["dw", dw],
    ];
  };
}

/** Heads lie side by side in a row: [N, H, d] is stored as [N, H·d]. */
const rowsOf = ({ shape }: Stored): number[] =>
  shape.length === 3 ? [shape[0] as number, (shape[1] as number) * (shape[2] as number)] : shape;

describe.each([
  ["reference", "f64", 1e-13],
  ["reference", "f32", 4e-6],
  ["cpu", "f32", 4e-6],
] as const)("%s in %s", (device, dtype, tolerance) => {
  it.each(Object.keys(runs))(`computes %s and its gradients as torch does to ${tolerance}`, async (name) => {
    const k = openBackend({ device, threads: 1 });
    const stored = torch.cases[name] as Record<string, Stored>;
    const at: Inputs = (key) => put(k, (stored[key] as Stored).values, rowsOf(stored[key] as Stored), dtype);
    const integers: Inputs = (key) => put(k, (stored[key] as Stored).values, (stored[key] as Stored).shape, "i32");
    for (const [key, slot] of (runs[name] as Run)(k, at, integers)) {
      const expected = (stored[key] as Stored).values;
      const got = await get(k, slot);
      expect(got.length).toBe(expected.length);
      got.forEach((value, i) =>
        expect(Math.abs(value - (expected[i] as number)), `${key}[${i}]`).toBeLessThan(tolerance),
      );
    }
  });
});

describe.each(devices)("matmul on %s", (device) => {
  it("multiplies in every layout, scaled, and adds into a tensor", async () => {
    const k = openBackend({ device, threads: 1 });
    const [a, at] = [put(k, [1, 2, 3, 4, 5, 6], [2, 3]), put(k, [1, 4, 2, 5, 3, 6], [3, 2])];
    const [b, bt] = [put(k, [1, 0, 2, 1, 0, 3], [3, 2]), put(k, [1, 2, 0, 0, 1, 3], [2, 3])];
    const product = [5, 11, 14, 23];
    expect(await get(k, k.matmul("nn", a, b, 1))).toEqual(product);
    expect(await get(k, k.matmul("nt", a, bt, 1))).toEqual(product);
    expect(await get(k, k.matmul("tn", at, b, 1))).toEqual(product);
    const c = put(k, [100, 200, 300, 400], [2, 2]);
    expect(k.matmul("nn", a, b, 2, c)).toBe(c);
    expect(await get(k, c)).toEqual([110, 222, 328, 446]);
  });
});

describe.each(devices)("argmax on %s", (device) => {
  it("finds what torch.max finds: the first of equals, a NaN before all numbers", async () => {
    const k = openBackend({ device, threads: 1 });
    const [nan, inf] = [Number.NaN, Infinity];
    const rows = [1, 3, 3, 2, nan, nan, -0, 0, -1, -inf, -inf, -inf, inf, 5, inf];
    // torch.tensor(rows).view(5, 3).max(1), torch 2.13
    const [index, value] = k.argmax(put(k, rows, [5, 3]));
    expect(await get(k, index)).toEqual([1, 1, 0, 0, 0]);
    expect(await get(k, value)).toEqual([3, nan, -0, -inf, inf]);
  });

  it("refuses rows of nothing", () => {
    const k = openBackend({ device, threads: 1 });
    expect(() => k.argmax(k.alloc("f32", [2, 0]))).toThrow("rows of x [2, 0] must have");
  });
});

describe.each(devices)("randomness on %s", (device) => {
  const k = openBackend({ device, threads: 1 });
  const key = { seed: 1, stream: 2, step: 3, micro: 4, rank: 5 };
  const draws = 100_000;

  it("draws uniform numbers with the right mean and variance, none outside", async () => {
    const values = await get(k, k.uniform([draws], -1, 3, key));
    const mean = values.reduce((sum, x) => sum + x, 0) / draws;
    const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws;
    expect(Math.min(...values.slice(0, 50_000))).toBeGreaterThanOrEqual(-1);
    expect(Math.max(...values.slice(0, 50_000))).toBeLessThan(3);
    // Five standard errors.
    expect(Math.abs(mean - 1)).toBeLessThan(5 * Math.sqrt(16 / 12 / draws));
    expect(Math.abs(variance - 16 / 12)).toBeLessThan(0.03);
  });

  it("draws normal numbers with the right mean and variance", async () => {
    const values = await get(k, k.normal([draws], 2, 3, key));
    const mean = values.reduce((sum, x) => sum + x, 0) / draws;
    const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws;
    expect(Math.abs(mean - 2)).toBeLessThan(5 * (3 / Math.sqrt(draws)));
    expect(Math.abs(variance - 9)).toBeLessThan(0.25);
  });

  it("drops the asked share, scales the rest, and masks the gradient alike", async () => {
    const ones = put(
      k,
      Array.from({ length: draws }, () => 1),
      [draws],
    );
    const kept = await get(k, k.dropout(ones, 0.25, key));
    const share = kept.filter((x) => x !== 0).length / draws;
    expect(Math.abs(share - 0.75)).toBeLessThan(5 * Math.sqrt((0.25 * 0.75) / draws));
    expect(new Set(kept.map((x) => x.toFixed(5)))).toEqual(new Set(["0.00000", "1.33333"]));
    expect(await get(k, k.dropout(ones, 0.25, key))).toEqual(kept);
  });

  it.each(["seed", "stream", "step", "micro", "rank"] as const)("draws other numbers for another %s", async (part) => {
    const other = { ...key, [part]: key[part] + 1 };
    expect(await get(k, k.uniform([64], 0, 1, other))).not.toEqual(await get(k, k.uniform([64], 0, 1, key)));
  });
});
