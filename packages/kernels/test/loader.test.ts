import { afterEach, describe, expect, it } from "vitest";

import { describeBackends, openBackend } from "../src/index.ts";

describe("openBackend", () => {
  afterEach(() => {
    delete process.env["TEMPER_DEVICE"];
    delete process.env["TEMPER_KERNELS_PATH"];
  });

  const gpu = describeBackends().backends.some(({ name, available }) => name === "cuda" && available);
  const fastest = gpu ? "cuda" : "cpu";

  it("picks the fastest by itself and obeys TEMPER_DEVICE, which an option beats", () => {
    expect(openBackend().name).toBe(fastest);
    process.env["TEMPER_DEVICE"] = "reference";
    expect(openBackend().name).toBe("reference");
    expect(openBackend({ device: "cpu" }).name).toBe("cpu");
  });

  it("refuses a device that does not exist, and numbers of threads that make no sense", () => {
    process.env["TEMPER_DEVICE"] = "tpu";
    expect(() => openBackend()).toThrow(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining("tpu"),
      }),
    );
    for (const threads of [0, -1, 1.5, Number.NaN, 5000]) {
      expect(() => openBackend({ device: "cpu", threads })).toThrow(
        expect.objectContaining({ code: "INVALID_ARGUMENT" }),
      );
    }
  });

  it("says what it tried and what to install where the library is missing", () => {
    process.env["TEMPER_KERNELS_PATH"] = "/nowhere/kernels.node";
    expect(() => openBackend({ device: "cpu" })).toThrow(
      expect.objectContaining({
        code: "NO_BACKEND",
        message: expect.stringContaining("/nowhere/kernels.node"),
        hint: expect.stringContaining("install @welltempered/kernels-"),
      }),
    );
    const { backends, library } = describeBackends();
    for (const [i, name] of ["cuda", "cpu"].entries())
      expect(backends[i]).toMatchObject({ name, available: false, choice: "not taken: not there" });
    expect(library[0]).toEqual({ path: "/nowhere/kernels.node", problem: expect.any(String) });
    // Where the module is there, it serves instead.
    if (backends[2]?.available) expect(openBackend().name).toBe("wasm");
    else expect(() => openBackend()).toThrow(expect.objectContaining({ code: "NO_BACKEND" }));
  });

  it("describes every backend of this machine", () => {
    const { backends, library } = describeBackends();
    expect(backends.map(({ name, available }) => [name, available])).toEqual([
      ["cuda", gpu],
      ["cpu", true],
      ["wasm", expect.any(Boolean)],
      ["reference", true],
    ]);
    expect(backends.find(({ name }) => name === fastest)?.choice).toBe("taken: the fastest here");
    expect(backends[3]?.choice).toBe(`not taken: ${fastest} is the fastest here`);
    expect(library.at(-2)).not.toHaveProperty("problem");
    process.env["TEMPER_DEVICE"] = "reference";
    const forced = describeBackends().backends;
    expect([forced[1]?.choice, forced[3]?.choice]).toEqual([
      "not taken: TEMPER_DEVICE=reference",
      "taken: TEMPER_DEVICE=reference",
    ]);
  });
});
