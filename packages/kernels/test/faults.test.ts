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
});
