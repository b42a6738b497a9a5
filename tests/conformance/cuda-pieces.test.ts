// A head whose logits are too many to exist at a time is computed piece by piece, to the same sums and gradients.

import { describeBackends, openBackend } from "@welltempered/kernels";
import type { KernelBackend } from "@welltempered/kernels";
import { describe, expect, it } from "vitest";

import { randomNumbers } from "./cases.ts";
import "./emulator.ts";

const cuda = describeBackends().backends.find(({ name }) => name === "cuda");

async function loss(k: KernelBackend): Promise<Float32Array[]> {
  // 256 MiB of logits are 223 of these rows, cut to 128.
  const [n, d, vocab] = [260, 2, 300_000];
  const next = randomNumbers(5);
  const floats = (rows: number) =>
    k.upload("f32", [rows, d], new Uint8Array(Float32Array.from({ length: rows * d }, () => next() - 0.5).buffer));
  const [h, w] = [floats(n), floats(vocab)];
  const labels = Int32Array.from({ length: n }, (_, i) => (i % 5 === 0 ? -100 : i * 1000));
  const outputs = k.linearCrossEntropy(h, w, k.upload("i32", [n], new Uint8Array(labels.buffer)), 0, true, true);
  return await Promise.all(outputs.map(async (x) => new Float32Array((await k.read(x)).buffer)));
}

describe.runIf(cuda?.available)("linearCrossEntropy", () => {
  it("adds up its pieces", async () => {
    const [ours, theirs] = [await loss(openBackend({ device: "cuda" })), await loss(openBackend({ device: "cpu" }))];
    for (const [i, expected] of theirs.entries()) {
      const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      const apart = expected.reduce((most, x, at) => Math.max(most, Math.abs(x - (ours[i]?.[at] ?? Number.NaN))), 0);
      // The emulator adds 300,000 products one by one.
      expect(apart / largest, `output ${i}`).toBeLessThan(1e-4);
    }
  });
});
