import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";

import { openBackend } from "../src/index.ts";
import type { KernelBackend } from "../src/index.ts";
import { devices, get, put } from "./support.ts";

/** Lends a file with these bytes, open. */
async function withFile(bytes: Uint8Array, use: (fd: number) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "kernels-"));
  writeFileSync(join(folder, "file"), bytes);
  const fd = openSync(join(folder, "file"), "r");
  try {
    await use(fd);
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
}

describe.each(devices)("memory of the %s backend", (device) => {
  let k: KernelBackend;
  beforeEach(() => {
    k = openBackend({ device, threads: 1 });
  });

  it("gives back the bytes it was given", async () => {
    const bytes = Uint8Array.from({ length: 24 }, (_, i) => i * 11);
    for (const dtype of ["f32", "bf16", "f16", "f64", "i32", "i8", "u8"] as const) {
      const size = { f32: 4, bf16: 2, f16: 2, f64: 8, i32: 4, i8: 1, u8: 1 }[dtype];
      const x = k.upload(dtype, [24 / size], bytes);
      expect(await k.read(x)).toEqual(bytes);
      expect(k.dtype(x)).toBe(dtype);
      expect(k.shape(x)).toEqual([24 / size]);
    }
  });

  it("reads a tensor from the middle of a file, or leaves it to upload where it reaches none", async () => {
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => i * 11);
    await withFile(bytes, async (fd) => {
      const x = k.uploadFrom("bf16", [3, 8], { fd, offset: 5, length: 48 });
      expect(x === undefined).toBe(device === "wasm");
      if (x === undefined) return;
      expect(await k.read(x)).toEqual(bytes.slice(5, 53));
      expect([k.dtype(x), k.shape(x), k.liveBytes()]).toEqual(["bf16", [3, 8], 48]);
    });
  });

  it.skipIf(device === "wasm")("makes no tensor of a file that ends before it, or that is not open", async () => {
    await withFile(new Uint8Array(100), async (fd) => {
      expect(k.uploadFrom("u8", [96], { fd, offset: 5, length: 96 })).toBeUndefined();
      expect(k.uploadFrom("u8", [95], { fd, offset: 5, length: 95 })).toBeDefined();
      expect(() => k.uploadFrom("f32", [2], { fd, offset: 0, length: 9 })).toThrow(/^uploadFrom: .*9/);
    });
    expect(k.uploadFrom("u8", [95], { fd: 2 ** 30, offset: 5, length: 95 })).toBeUndefined();
    expect([k.liveTensors(), k.liveBytes()]).toEqual([1, 95]);
  });

  it("allocates zeros, also on memory used before", async () => {
    for (let round = 0; round < 3; round++) {
      const x = k.alloc("f32", [100, 100]);
      expect((await get(k, x)).every((value) => value === 0)).toBe(true);
      k.fill(x, 7);
      expect((await get(k, x)).every((value) => value === 7)).toBe(true);
      k.free(x);
    }
  });

  it("counts live tensors and bytes, shared memory once", () => {
    const x = k.alloc("f32", [2, 3]);
    const y = k.reshape(x, [6]);
    expect([k.liveTensors(), k.liveBytes()]).toEqual([2, 24]);
    k.free(x);
    expect([k.liveTensors(), k.liveBytes()]).toEqual([1, 24]);
    const z = k.copy(y);
    expect([k.liveTensors(), k.liveBytes()]).toEqual([2, 48]);
    k.free(y);
    k.free(z);
    expect([k.liveTensors(), k.liveBytes()]).toEqual([0, 0]);
  });

  it("shares the memory of a reshaped tensor", async () => {
    const x = put(k, [1, 2, 3, 4, 5, 6], [2, 3]);
    const y = k.reshape(x, [3, 2]);
    k.fill(x, 9);
    k.free(x);
    expect(await get(k, y)).toEqual([9, 9, 9, 9, 9, 9]);
    expect(k.shape(y)).toEqual([3, 2]);
  });

  it("overwrites a tensor in place", async () => {
    const x = put(k, [1, 2], [2]);
    k.write(x, new Uint8Array(Float32Array.of(3, 4).buffer));
    expect(await get(k, x)).toEqual([3, 4]);
  });

  it("refuses a freed slot, though its index is used again", async () => {
    const old = k.alloc("f32", [2]);
    k.free(old);
    const fresh = k.alloc("f32", [2]);
    expect(() => k.free(old)).toThrow(expect.objectContaining({ code: "TENSOR_DISPOSED" }));
    expect(() => k.scale(old, 2)).toThrow(/^scale: .*freed/);
    await expect(k.read(old)).rejects.toMatchObject({ code: "TENSOR_DISPOSED" });
    expect(k.shape(fresh)).toEqual([2]);
  });

  it("reports memory that the machine does not have", () => {
    // No axis of a machine of 32 bits is as long as these.
    const [none, impossible] =
      device === "wasm" ? ["INVALID_ARGUMENT", "INVALID_ARGUMENT"] : ["OUT_OF_MEMORY", "INVALID_SHAPE"];
    expect(() => k.alloc("f32", [2 ** 45])).toThrow(expect.objectContaining({ code: none }));
    expect(() => k.alloc("f32", [2 ** 40, 2 ** 40])).toThrow(expect.objectContaining({ code: impossible }));
    expect([k.liveTensors(), k.liveBytes()]).toEqual([0, 0]);
  });

  it("says what it has left where that is not the machine's", () => {
    const x = k.alloc("f32", [2 ** 10]);
    expect(k.availableBytes()).toBe(device === "wasm" ? 2 ** 32 - 2 ** 12 : undefined);
    k.free(x);
  });

  it("casts as IEEE 754 rounds: to nearest, ties to even", async () => {
    // bf16 keeps 8 bits: 1 + 2⁻⁸ is a tie and goes to 1, 1 + 3·2⁻⁸ is a tie and goes to 1 + 2⁻⁶.
    const x = put(k, [1 + 2 ** -8, 1 + 3 * 2 ** -8, -0, 3.3895313892515355e38, 70000], [5]);
    const bf16 = await k.read(k.cast(x, "bf16"));
    expect([...new Uint16Array(bf16.buffer)]).toEqual([0x3f80, 0x3f82, 0x8000, 0x7f7f, 0x4789]);
    const f16 = await k.read(k.cast(x, "f16"));
    expect([...new Uint16Array(f16.buffer)]).toEqual([0x3c04, 0x3c0c, 0x8000, 0x7c00, 0x7c00]);
    expect(await get(k, k.cast(k.cast(x, "bf16"), "f32"))).toEqual([1, 1.015625, -0, 3.3895313892515355e38, 70144]);
    expect(await get(k, k.cast(put(k, [-1.9, 2.9, 300], [3]), "i32"))).toEqual([-1, 2, 300]);
  });
});

describe("the cpu backend", () => {
  it("stores and casts f64 but refuses to compute in it, by name", async () => {
    const k = openBackend({ device: "cpu", threads: 1 });
    const x = put(k, [1.5, 2], [2], "f64");
    expect(() => k.scale(x, 2)).toThrow(/^scale: an input is f64; the cpu backend computes in f32/);
    expect(await get(k, k.scale(k.cast(x, "f32"), 2))).toEqual([3, 4]);
  });
});
