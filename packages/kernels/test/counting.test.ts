// The backend without numbers against one that has them.
import { describe, expect, it } from "vitest";
import { bytesOf, CountingBackend, openBackend } from "../src/index.ts";
import type { KernelBackend, Slot, StorageType, Work } from "../src/index.ts";
import { attendedPairs } from "../src/counting/work.ts";
import { invoke, methods, validCalls } from "./calls.ts";
import { put } from "./support.ts";

/** Whatever a call gave, told by shapes and dtypes; and what lives afterwards. */
async function told(k: KernelBackend, method: (typeof methods)[number]): Promise<unknown> {
  const result: unknown = await invoke(k, method, validCalls[method](k));
  const describe = (value: unknown): unknown => {
    if (Array.isArray(value) && value.every((item) => typeof item === "number" && item < 2 ** 22)) return value;
    if (Array.isArray(value)) return value.map(describe);
    if (value instanceof Uint8Array) return value.length;
    return typeof value === "number" && isSlot(k, value)
      ? [k.dtype(value as Slot), k.shape(value as Slot)]
      : typeof value;
  };
  return { result: describe(result), tensors: k.liveTensors(), bytes: k.liveBytes() };
}

function isSlot(k: KernelBackend, value: number): boolean {
  try {
    k.dtype(value as Slot);
    return true;
  } catch {
    return false;
  }
}

describe("the counting backend", () => {
  it.each(methods.filter((method) => !method.startsWith("live")))(
    "gives and keeps after %s what the CPU's does",
    async (method) => {
      const counted = await told(new CountingBackend(), method);
      expect(counted).toEqual(await told(openBackend({ device: "cpu", threads: 1 }), method));
    },
  );

  it.each<[StorageType, number[]]>([
    ["f32", [3, 5]],
    ["bf16", [3, 5]],
    ["q4_1", [3, 64]],
    ["q6_k", [2, 512]],
    ["iq4_nl", [1, 32]],
    ["nf4/64", [3, 70]],
    ["nf4/64/double", [300, 64]],
    ["fp4/128/double", [7, 33]],
  ])("knows the bytes of %s %j", (type, shape) => {
    const k = openBackend({ device: "cpu", threads: 1 });
    k.alloc(type, shape);
    expect(bytesOf(type, shape)).toBe(k.liveBytes());
  });

  it("counts products and the pairs that attention sees", () => {
    const calls: Work[] = [];
    const k = new CountingBackend((work) => calls.push(work));
    k.matmul("tn", k.alloc("f32", [7, 3]), k.alloc("bf16", [7, 5]), 1);
    const [u, v] = [k.alloc("f32", [7, 2]), k.alloc("f32", [5, 2])];
    k.matmulLowRank("nt", k.alloc("f32", [7, 3]), k.alloc("nf4/64", [5, 3]), u, v, 1);
    const layout = put(k, [0, 4, 1, 0, 4], [5], "i32");
    k.attention(k.alloc("f32", [4, 8]), k.alloc("f32", [4, 4]), k.alloc("f32", [4, 4]), layout, {
      headDim: 4,
      scale: 1,
      window: 0,
      softCap: 0,
    });
    expect(calls.flatMap(({ products }) => products)).toEqual([
      { layout: "tn", m: 3, n: 5, k: 7, type: "bf16" },
      { layout: "nt", m: 7, n: 5, k: 3, type: "nf4/64", rank: 2 },
    ]);
    // 1 + 2 + 3 + 4 pairs, 8 columns, a multiplication and an addition in each of two products
    expect(calls.flatMap(({ attention }) => attention?.flop ?? [])).toEqual([10 * 8 * 2 * 2]);
  });

  it("sees pairs behind a shared prefix, and no more than a window", () => {
    // 3 queries behind a prefix of 5: 6 + 7 + 8
    expect(attendedPairs(Int32Array.of(5, 3, 2, 0, 5, 5, 3), 0)).toBe(21);
    // 1 + 2 + 3 + 3 + 3
    expect(attendedPairs(Int32Array.of(0, 5, 1, 0, 5), 3)).toBe(12);
    // all behind the window: 4 + 4
    expect(attendedPairs(Int32Array.of(5, 2, 2, 0, 5, 5, 2), 4)).toBe(8);
  });
});
