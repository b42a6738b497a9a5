import * as fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { KernelError, openBackend } from "../src/index.ts";
import type { KernelBackend, Slot } from "../src/index.ts";
import { invoke, key, methods, validCalls } from "./calls.ts";
import { devices, get, put } from "./support.ts";

const detached = new Uint8Array(8);
structuredClone(detached, { transfer: [detached.buffer] });

const strange: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, true, "f32", "", NaN, Infinity, -1, -0, 0.5, 2 ** 31, 2 ** 53, 1e300),
  fc.constantFrom<unknown>({}, [], [NaN], [-1], [2 ** 53], [[2]], Symbol("x"), 7n, () => 0, new Uint8Array(3)),
  fc.constantFrom<unknown>(detached, new Float32Array(2), new ArrayBuffer(8), new Uint8Array(new SharedArrayBuffer(8))),
  fc.constantFrom<unknown>({ ...key, seed: -1 }, { ...key, rank: 2 ** 16 }, { ...key, step: "1" }),
  fc.integer({ min: 0, max: 40 }),
  fc.double(),
  fc.string({ maxLength: 3 }),
);

// A number of rows of 2³¹ is a valid argument, and no machine that runs tests has the memory.
beforeAll(() => void (process.env["TEMPER_FAULT"] = "memory:1000000000"));
afterAll(() => delete process.env["TEMPER_FAULT"]);

describe.each(devices)("the %s backend", (device) => {
  let k: KernelBackend;
  beforeEach(() => {
    k = openBackend({ device, threads: 1 });
  });

  it.each(methods)("survives any argument to %s and refuses with KernelError alone", async (method) => {
    await fc.assert(
      fc.asyncProperty(fc.nat(12), strange, fc.boolean(), async (at, value, cut) => {
        const args: unknown[] = [...validCalls[method](k)];
        args[at % Math.max(args.length, 1)] = value;
        if (cut) args.pop();
        const outcome = await invoke(k, method, args).catch((error: unknown) => error);
        if (outcome instanceof Error) {
          expect(outcome).toBeInstanceOf(KernelError);
          expect((outcome as KernelError).code).not.toBe("PANIC");
        }
      }),
      { numRuns: 60 },
    );
    expect(await get(k, k.scale(put(k, [1, 2], [2]), 3))).toEqual([3, 6]);
  });

  it.each(methods)("refuses a freed tensor in every place of %s", async (method) => {
    for (const at of validCalls[method](k).keys()) {
      const args: unknown[] = [...validCalls[method](k)];
      const slot: unknown = [args[at]].flat()[0];
      if (!isSlot(k, slot)) continue;
      k.free(slot);
      await expect(invoke(k, method, args), `argument ${at}`).rejects.toMatchObject({
        code: "TENSOR_DISPOSED",
      });
    }
  });

  it("leaks nothing over ten thousand refusals", () => {
    const a = k.alloc("f32", [2, 3]);
    for (let i = 0; i < 10_000; i++) expect(() => k.matmul("nn", a, a, 1)).toThrow(KernelError);
    expect([k.liveTensors(), k.liveBytes()]).toEqual([1, 24]);
  });

  it("names the op and both sides of a disagreement", () => {
    const a = k.alloc("f32", [2, 3]);
    const b = k.alloc("f32", [4, 5]);
    const ids = put(k, [0, 7], [2], "i32");
    expect(() => k.matmul("nn", a, b, 1)).toThrow(/^matmul: a \[2, 3\] and b \[4, 5\] .*3 ≠ 4/);
    expect(() => k.matmulLowRank("nn", a, put(k, [1, 2, 3], [3, 1]), a, b, 1)).toThrow(
      /^matmulLowRank: u \[2, 3\] and v \[4, 5\] .*3 ≠ 4/,
    );
    expect(() => k.binary("add", a, b)).toThrow(/^binary: b \[4, 5\] .* a \[2, 3\]/);
    expect(() => k.takeRows(b, ids)).toThrow(/^takeRows: ids\[1\] is 7, must be 0 … 3/);
    expect(() => k.sum(ids)).toThrow(/^sum: needs float tensors, got i32 \[2\]/);
    expect(() => k.svd(a, 3, -1, key)).toThrow(/^svd: rank 3 of \[2, 3\] must be in 1 … 2/);
    expect(() => k.svd(put(k, [1, NaN], [1, 2]), 1, -1, key)).toThrow(/^svd: x\[1\] is NaN, must be finite/);
    expect(() => k.svd(a, 1, -2, key)).toThrow(/^svd: iterations must be a whole number/);
    expect(() => k.accumulate(a, k.reshape(a, [2, 3]), 1)).toThrow(/^accumulate: acc shares memory with x/);
    const [x, w, rstd] = [k.alloc("f32", [2, 3]), k.alloc("f32", [3]), k.alloc("f32", [2])];
    expect(() => k.addRmsNorm(a, a, w, 0)).toThrow(/^addRmsNorm: acc shares memory with x/);
    expect(() => k.addRmsNorm(k.alloc("bf16", [2, 3]), x, w, 0)).toThrow(/^addRmsNorm: acc must be f32, got bf16/);
    expect(() => k.addRmsNormBackward(a, a, x, w, rstd, false)).toThrow(
      /^addRmsNormBackward: acc shares memory with g/,
    );
    expect(() => k.addRmsNormBackward(b, x, x, w, rstd, false)).toThrow(/^addRmsNormBackward: acc \[4, 5\] and x/);
  });

  it.each([
    ["a segment past the queries", [1, 3, 1, 0, 3], "OUT_OF_RANGE"],
    ["a range past the keys", [0, 3, 1, 1, 3], "OUT_OF_RANGE"],
    ["fewer keys than queries", [0, 3, 1, 0, 2], "INVALID_ARGUMENT"],
    ["a layout cut short", [0, 3, 2, 0, 3], "INVALID_ARGUMENT"],
    ["a negative number", [0, -3, 1, 0, 3], "OUT_OF_RANGE"],
    ["a query named twice", [0, 2, 1, 0, 3, 1, 2, 1, 0, 3], "INVALID_ARGUMENT"],
  ])("refuses an attention layout with %s", (_, numbers, code) => {
    const q = k.alloc("f32", [3, 4]);
    const layout = put(k, numbers, [numbers.length], "i32");
    expect(() => k.attention(q, q, q, layout, { headDim: 4, scale: 1, window: 0, softCap: 0 })).toThrow(
      expect.objectContaining({ code }),
    );
  });

  it("changes no parameter when one of the group is refused", async () => {
    const args = validCalls.adamw(k);
    const [params, grads, m, v, step, scale, skip, options] = args;
    const before = await get(k, params[0] as Slot);
    const bad = k.alloc("f32", [9]);
    const more = [k.alloc("f32", [2]), k.alloc("f32", [2]), k.alloc("f32", [2])] as const;
    expect(() =>
      k.adamw([...params, more[0]], [...grads, bad], [...m, more[1]], [...v, more[2]], step, scale, skip, options),
    ).toThrow(expect.objectContaining({ code: "INVALID_SHAPE" }));
    expect(() =>
      k.adamw([...params, ...params], [...grads, ...grads], [...m, ...m], [...v, ...v], step, scale, skip, options),
    ).toThrow(/shares memory/);
    expect(await get(k, params[0] as Slot)).toEqual(before);
    expect(await get(k, step)).toEqual([0]);
  });
});

/** Slots are at least 2²², so no other number of these calls is one. */
function isSlot(k: KernelBackend, value: unknown): value is Slot {
  try {
    return typeof value === "number" && k.shape(value as Slot).length > 0;
  } catch {
    return false;
  }
}
