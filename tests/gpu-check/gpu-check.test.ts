import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");

interface Curve {
  losses: number[];
  gradNorms: number[];
}
interface Verdict {
  what: string;
  ok: boolean;
  detail: string;
}
const { judgements } = (await import(join(root, "tests/gpu-check/judge.mjs"))) as {
  judgements(result: object): Verdict[];
};
const { benchCases, flopsPerToken } = (await import(join(root, "bench/gpu/shapes.mjs"))) as {
  benchCases(small: boolean): { name: string; shape: string; length: number }[];
  flopsPerToken(run: object): number;
};
const { bundle } = (await import(join(root, "tools/gpu-check.mjs"))) as { bundle(file: string): Promise<void> };

const stored = JSON.parse(readFileSync(join(root, "fixtures/qlora/curves.json"), "utf8")) as Record<
  string,
  { loss: number; grad_norm: number }[]
>;
const curveOf = (name: string): Curve => ({
  losses: (stored[name] ?? []).map(({ loss }) => loss),
  gradNorms: (stored[name] ?? []).map(({ grad_norm: norm }) => norm),
});

const side = { losses: [6, 5], gradNorms: [1, 2], trainable: 10 };
const run = { name: "a run", ours: side, reference: side, difference: { loss: 1e-4, gradNorm: 1e-3 } };
/** A result that is right, but for what a test changes. */
const result = (changes: object): object => {
  const [theirs, passed] = [curveOf("nf4-double"), { cases: 3, cut: 0, failures: [] }];
  const pairs = [{ name: "QLoRA", ours: theirs, theirs }];
  return {
    conformance: passed,
    gradients: passed,
    training: pairs,
    curves: pairs,
    products: [],
    attention: [],
    bench: [run],
    ...changes,
  };
};
const wrong = (changes: object): string[] => judgements(result(changes)).flatMap(({ what, ok }) => (ok ? [] : [what]));

it("finds nothing wrong in equal curves", () => {
  expect(wrong({})).toEqual([]);
});

it.each([
  ["the curve of another codec", { ours: curveOf("fp4-double") }],
  ["the curve without double quantisation", { ours: curveOf("nf4") }],
  ["a curve that ends early", { ours: { losses: [6.578], gradNorms: [2.506] } }],
  ["a loss that is no number", { ours: { ...curveOf("nf4-double"), losses: Array(20).fill(Number.NaN) } }],
  ["a reference that learns nothing", { ours: flat(), theirs: flat() }],
])("finds %s wrong", (_, changes) => {
  const pair = { name: "QLoRA", ours: curveOf("nf4-double"), theirs: curveOf("nf4-double"), ...changes };
  expect(wrong({ curves: [pair] })).toEqual(["20 steps beside transformers + peft: QLoRA"]);
});

function flat(): Curve {
  return { losses: Array(20).fill(6), gradNorms: Array(20).fill(1) };
}

it.each([
  ["gradients of zero", { ours: { ...side, gradNorms: [1, 0] } }],
  ["losses that differ", { difference: { loss: 6e-3, gradNorm: 0 } }],
  ["a difference that is no number", { difference: { loss: Number.NaN, gradNorm: 0 } }],
  ["another number of weights that train", { reference: { ...side, trainable: 11 } }],
  ["a run that failed", { error: "ours: no memory" }],
])("finds %s wrong in the benchmark", (_, changes) => {
  expect(wrong({ bench: [{ ...run, ...changes }] })).toEqual(["a run"]);
});

it("finds a failed case, no case, and a part that did not end wrong", () => {
  const failures = [{ case: "add", error: 1 }];
  expect(wrong({ conformance: { cases: 3, cut: 0, failures }, gradients: { cases: 0, cut: 9, failures: [] } })).toEqual(
    ["conformance", "gradients"],
  );
  expect(wrong({ training: { error: "training ended without an answer" }, attention: undefined })).toEqual([
    "20 steps beside the CPU",
    "attention",
  ]);
});

// Billions of operations a token, computed by hand for the ceilings of these models, to three digits.
it.each([
  ["Llama-3.1-8B", 32.2],
  ["Llama-3.2-1B", 5.48],
])("counts the operations of a LoRA step of %s", (shape, gigaflops) => {
  const found = benchCases(false).find(({ name }) => name === `${shape}, LoRA`);
  expect(Math.abs(flopsPerToken(found ?? {}) / 1e9 / gigaflops - 1)).toBeLessThan(0.005);
});

it("is one file that runs without this checkout", async () => {
  const folder = mkdtempSync(join(tmpdir(), "gpu-check-"));
  try {
    await bundle(join(folder, "tests/check.mjs"));
    const env = { ...process.env, TEMPER_CUDA_LIBRARIES: folder, TEMPER_KERNELS_PATH: "" };
    const { status, stdout, stderr } = spawnSync(process.execPath, ["tests/check.mjs", "part", "device", "{}"], {
      cwd: folder,
      env,
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({ name: "cuda", available: false });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
