import { existsSync, readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";

import { KernelError, loadWasm, openBackend } from "../src/browser.ts";
import type { KernelBackend, Slot } from "../src/browser.ts";
import type { WasmGlue } from "../src/wasm.ts";
import { openWasm } from "../src/wasm.ts";
import { fusesMultiplyAdd, webAssembly } from "../src/web-assembly.ts";
import { invoke, methods, validCalls } from "./calls.ts";
import { get, put } from "./support.ts";

const file = new URL("../wasm/kernels_wasm_bg.wasm", import.meta.url);
const fused = new URL("../wasm/kernels_wasm_fused.wasm", import.meta.url);

/** A backend of a module of its own. */
async function alone(name: string, form: URL): Promise<KernelBackend> {
  const { href } = new URL(`../wasm/kernels_wasm.js?${name}`, import.meta.url);
  const glue = (await import(/* @vite-ignore */ href)) as WasmGlue;
  glue.initSync({ module: readFileSync(form) });
  return openWasm(glue, "wasm");
}

/** The backend, with all that its calls return kept in `made`. */
function keeping(k: KernelBackend, made: unknown[]): KernelBackend {
  return new Proxy(k, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...words: unknown[]): unknown => {
        const result: unknown = Reflect.apply(value, target, words);
        made.push(result);
        return result;
      };
    },
  });
}

/** Frees every slot among these; other numbers are none, and refused. */
function freeAll(k: KernelBackend, values: readonly unknown[]): void {
  for (const value of values.flat()) {
    if (typeof value !== "number") continue;
    try {
      k.free(value as Slot);
    } catch (error) {
      expect(error).toBeInstanceOf(KernelError);
    }
  }
}

// A machine without a compiler for wasm32 is no fault, but one that decides has to have it.
describe.skipIf(!existsSync(file) && process.env["CI"] !== "true")("the WebAssembly module", () => {
  it.each([file, fused])("has at most 600 kB with gzip: %s", (form) => {
    expect(gzipSync(readFileSync(form), { level: 9 }).length).toBeLessThanOrEqual(600_000);
  });

  it("opens in a browser's way, from bytes, a module or an answer, and not before it is loaded", async () => {
    expect(() => openBackend()).toThrow(
      expect.objectContaining({ code: "NO_BACKEND", hint: "await loadWasm() first" }),
    );
    await expect(loadWasm(new Response("", { status: 404 }))).rejects.toThrow("answered 404");
    const bytes = readFileSync(file);
    for (const source of [new Response(bytes), await webAssembly.compile(bytes), bytes]) {
      await loadWasm(source);
      const k = openBackend();
      expect([k.name, k.description]).toEqual(["wasm", "simd128, 1 thread"]);
      expect(await get(k, k.binary("mul", put(k, [2, 3], [2]), put(k, [5, 7], [2])))).toEqual([10, 21]);
    }
    expect(() => openBackend({ device: "cpu" })).toThrow(expect.objectContaining({ code: "NO_BACKEND" }));
  });

  it("gives with one instruction for a multiply-add what it gives with two, rounded once less", async () => {
    if (!fusesMultiplyAdd()) setFlagsFromString("--experimental-wasm-relaxed-simd");
    expect(fusesMultiplyAdd()).toBe(true);
    const [two, one] = await Promise.all([alone("two", file), alone("one", fused)]);
    expect([two.description, one.description]).toEqual(["simd128, 1 thread", "simd128 (fused multiply-add), 1 thread"]);
    const bits: boolean[] = [];
    for (const [m, depth, n] of [
      [1, 64, 3],
      [5, 33, 9],
      [64, 300, 40],
    ] as const) {
      const [x, y] = await Promise.all(
        [two, one].map(async (k) => {
          const wave = (rows: number, columns: number, pace: number): Slot =>
            put(
              k,
              Array.from({ length: rows * columns }, (_, i) => Math.sin(pace * i)),
              [rows, columns],
            );
          return await get(k, k.matmul("nn", wave(m, depth, 0.37), wave(depth, n, 0.73), 1));
        }),
      );
      const apart = x?.map((value, i) => Math.abs(value - (y?.[i] ?? NaN))) ?? [];
      // Each of `depth` sums is at most `depth` and rounded by half a unit of 2⁻²³, once or twice.
      expect(Math.max(...apart)).toBeLessThan(2 * depth ** 2 * 2 ** -24);
      bits.push(Math.max(...apart) > 0);
    }
    expect(bits).toContain(true);
  });

  it("reaches nothing of Node from the browser's entry", () => {
    const seen = new Set<string>();
    const visit = (file: URL): void => {
      if (seen.has(file.pathname)) return;
      seen.add(file.pathname);
      const text = readFileSync(file, "utf8");
      expect(text, file.pathname).not.toMatch(/from "node:|process\./);
      const imports = text.matchAll(/^(?:import|export) (?!type )[^;]*? from "(\.[^"]+)"/gm);
      for (const [, next = ""] of imports) visit(new URL(next, file));
    };
    visit(new URL("../src/browser.ts", import.meta.url));
    expect([...seen].some((path) => path.endsWith("/counting/memory.ts"))).toBe(true);
  });

  it("keeps its memory flat over 500 rounds of every method", { timeout: 60_000 }, async () => {
    const bytes = readFileSync(file);
    await loadWasm(bytes);
    const glue = (await import("../wasm/kernels_wasm.js")) as WasmGlue;
    const { memory } = glue.initSync({ module: bytes }) as { memory: { buffer: ArrayBuffer } };
    const k = openBackend();
    const sizes: number[] = [];
    for (let round = 0; round < 500; round++) {
      for (const method of methods) {
        const made: unknown[] = [];
        const noted = keeping(k, made);
        await invoke(noted, method, validCalls[method](noted));
        freeAll(k, made);
      }
      expect(k.liveTensors()).toBe(0);
      sizes.push(memory.buffer.byteLength);
    }
    expect(sizes.at(-1)).toBe(sizes[50]);
  });

  it("says what a panic said, refuses that backend from then on, and opens another", async () => {
    const trap = { openBackend: () => ({ name: () => "wasm", description: () => "", fill: () => fail() }) };
    const fail = (): never => {
      throw new webAssembly.RuntimeError("unreachable");
    };
    const said = ["index out of bounds", undefined];
    const k = openWasm({ ...trap, lastPanic: () => said.shift() } as unknown as WasmGlue, "wasm");
    const x = 0 as unknown as Parameters<typeof k.fill>[0];
    expect(() => k.fill(x, 1)).toThrow(
      expect.objectContaining({ code: "PANIC", message: expect.stringContaining("index out of bounds") }),
    );
    expect(() => k.fill(x, 1)).toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
  });
});
