// Each backend against the naive loops in f64. The bound is four times the error that naive f32 itself makes.

import { describeBackends, openBackend } from "@welltempered/kernels";
import type { Device, KernelBackend, Slot } from "@welltempered/kernels";
import { describe, expect, it } from "vitest";

import "./emulator.ts";
import { cases } from "./cases.ts";
import type { Case } from "./cases.ts";

/** A few units in the last place of the largest element, taken as at least ½: gradients of numbers around 1 may cancel to nothing. */
const FLOOR = 4 * 2 ** -24;
const floor = (expected: ArrayLike<number>): number => FLOOR * Math.max(largest(expected), 1 / 2);
const reference = openBackend({ device: "reference" });

async function outputs(k: KernelBackend, test: Case, dtype: "f32" | "f64"): Promise<(Float32Array | Float64Array)[]> {
  const slots = test.run(k, dtype);
  return await Promise.all(slots.map((slot) => numbers(k, slot)));
}

async function numbers(k: KernelBackend, slot: Slot): Promise<Float32Array | Float64Array> {
  const { buffer } = await k.read(slot);
  return k.dtype(slot) === "f64" ? new Float64Array(buffer) : new Float32Array(buffer);
}

function largest(values: ArrayLike<number>, other?: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) {
    const distance = Math.abs((values[i] as number) - (other?.[i] ?? 0));
    if (Number.isNaN(distance)) return distance;
    most = Math.max(most, distance);
  }
  return most;
}

const present = describeBackends().backends.filter(({ name }) => name !== "reference");

describe.each(present)("the $name backend", ({ name, available, detail }) => {
  if (!available) {
    it.skip(`is absent: ${detail}`, () => undefined);
    return;
  }
  const device = name as Device;
  const one = openBackend({ device, threads: 1 });
  const two = openBackend({ device, threads: 2 });

  it.each(cases)("$name: within 4 × the error of naive f32, the same bits on 1 and 2 threads", async (test) => {
    const [truth, naive] = [await outputs(reference, test, "f64"), await outputs(reference, test, "f32")];
    const [ours, threaded] = [await outputs(one, test, "f32"), await outputs(two, test, "f32")];
    expect(ours.length).toBe(truth.length);
    for (const [i, expected] of truth.entries()) {
      const got = ours[i] as Float32Array;
      expect(got.length).toBe(expected.length);
      const bound = 4 * largest(naive[i] as Float32Array, expected) + floor(expected);
      expect(largest(got, expected), `output ${i}`).toBeLessThanOrEqual(bound);
      const again = threaded[i] as Float32Array;
      expect(Buffer.compare(Buffer.from(got.buffer), Buffer.from(again.buffer)), `output ${i} on 2 threads`).toBe(0);
    }
  });

  it("draws the same random numbers, bit for bit, and drops the same elements", async () => {
    for (const test of cases.filter((test) => /^(uniform|dropout)/.test(test.name))) {
      const [theirs, ours] = [await outputs(reference, test, "f32"), await outputs(one, test, "f32")];
      expect(ours).toEqual(theirs);
    }
  });
});
