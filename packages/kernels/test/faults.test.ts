import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { openBackend } from "../src/index.ts";
import type { KernelBackend } from "../src/index.ts";
import { invoke, methods, validCalls } from "./calls.ts";
import { get, put } from "./support.ts";

describe("a panic in the native library", () => {
  let k: KernelBackend;
  beforeEach(() => {
    k = openBackend({ device: "cpu", threads: 2 });
  });
  afterEach(() => {
    delete process.env["TEMPER_FAULT"];
  });

  it.each(methods)("in %s is an error with a code, and the next call is right", async (method) => {
    const args = validCalls[method](k);
    const alive = [k.liveTensors(), k.liveBytes()];
    process.env["TEMPER_FAULT"] = `panic:${method}`;
    await expect(invoke(k, method, args)).rejects.toMatchObject({
      code: "PANIC",
      message: expect.stringMatching(`^${method}: .*fault asked for`),
    });
    delete process.env["TEMPER_FAULT"];
    expect([k.liveTensors(), k.liveBytes()]).toEqual(alive);
    await expect(invoke(k, method, args)).resolves.not.toThrow();
    expect(await get(k, k.binary("mul", put(k, [2, 3], [2]), put(k, [5, 7], [2])))).toEqual([10, 21]);
  });

  it("whose payload panics when it is dropped ends the same way", async () => {
    const [a, b] = [put(k, [2, 3], [1, 2]), put(k, [5, 7], [1, 2])];
    process.env["TEMPER_FAULT"] = "panic-drop:matmul";
    expect(() => k.matmul("nt", a, b, 1)).toThrow(expect.objectContaining({ code: "PANIC" }));
    delete process.env["TEMPER_FAULT"];
    expect(await get(k, k.matmul("nt", a, b, 1))).toEqual([31]);
  });

  it("in a thread of the pool is an error too, and the pool works on", async () => {
    const size = 256;
    const ones = put(
      k,
      Array.from({ length: size * size }, () => 1),
      [size, size],
    );
    const alive = [k.liveTensors(), k.liveBytes()];
    process.env["TEMPER_FAULT"] = "panic-worker:matmul";
    expect(() => k.matmul("nn", ones, ones, 1)).toThrow(
      expect.objectContaining({ code: "PANIC", message: expect.stringMatching(/^matmul: .*in a worker thread/) }),
    );
    delete process.env["TEMPER_FAULT"];
    expect([k.liveTensors(), k.liveBytes()]).toEqual(alive);
    expect(new Set(await get(k, k.matmul("nn", ones, ones, 1)))).toEqual(new Set([size]));
  });
});

describe("an allocator without memory", () => {
  afterEach(() => {
    delete process.env["TEMPER_FAULT"];
  });

  it("is an error that names the op and the bytes, and what lives stays whole", async () => {
    const k = openBackend({ device: "cpu", threads: 1 });
    const x = put(k, [2, 3], [2]);
    process.env["TEMPER_FAULT"] = "memory:4096";
    expect(() => k.alloc("f32", [1024])).toThrow(
      expect.objectContaining({ code: "OUT_OF_MEMORY", message: expect.stringMatching(/^alloc: .*4096 bytes/) }),
    );
    expect(await get(k, k.binary("mul", x, x))).toEqual([4, 9]);
    expect(k.liveTensors()).toBe(2);
  });
});
