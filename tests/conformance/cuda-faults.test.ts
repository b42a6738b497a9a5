// What goes wrong with a GPU is an error with a code, and gives back all that was taken: each allocation, launch and call of
// a training step fails in turn, on the emulator that counts what is alive.

import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { rmSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openBackend } from "@welltempered/kernels";
import type { KernelBackend, Slot } from "@welltempered/kernels";
import { afterAll, describe, expect, it } from "vitest";

import { emulator, emulatorMissing } from "../../tools/cuda-on-cpu/build.mjs";

const scratch = mkdtempSync(join(tmpdir(), "welltempered-cuda-faults-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const missing = emulatorMissing();

/** `Control` of tools/cuda-on-cpu/driver.cpp. */
const FIELDS = ["allocations", "launches", "calls", "lost", "memory", "bytes"] as const;
type Field = (typeof FIELDS)[number];
const control = openSync(join(scratch, "control"), "w+");
afterAll(() => closeSync(control));

function set(field: Field, value: number): void {
  writeSync(control, new BigInt64Array([BigInt(value)]), 0, 8, 8 * FIELDS.indexOf(field));
}

function get(field: Field): number {
  const number = new BigInt64Array(1);
  readSync(control, number, 0, 8, 8 * FIELDS.indexOf(field));
  return Number(number[0]);
}

function heal(): void {
  for (const field of ["allocations", "launches", "calls"] as const) set(field, -1);
  set("lost", 0);
}

interface Answer {
  cuda: { available: boolean; detail: string };
  taken: string;
}

function backendsWith(environment: Record<string, string>): Answer {
  const script = new URL("backends.mjs", import.meta.url).pathname;
  const env = { ...process.env, TEMPER_DEVICE: "auto", ...environment };
  const { stdout, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8", env });
  expect(stderr).toBe("");
  return JSON.parse(stdout) as Answer;
}

/** A folder with some of the emulator's libraries. */
function some(name: string, ...libraries: string[]): string {
  const folder = join(scratch, name);
  mkdirSync(folder);
  for (const library of libraries) symlinkSync(join(emulator(), library), join(folder, library));
  return folder;
}

/** The device in an environment of its own, without the comparison that needs memory and kernels. */
function unchecked(environment: Record<string, string>): KernelBackend {
  const wanted = { ...environment, TEMPER_CUDA_UNCHECKED: "1" };
  const before = Object.keys(wanted).map((name) => [name, process.env[name]] as const);
  // One by one: the library reads the environment of the process, not this object.
  Object.assign(process.env, wanted);
  try {
    return openBackend({ device: "cuda" });
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

describe.skipIf(missing !== undefined)("a machine whose GPU cannot be used", () => {
  const driver = "libcuda.so.1";
  it.each([
    ["no driver", () => ({ TEMPER_CUDA_LIBRARIES: some("none") }), /no NVIDIA driver: libcuda was not found$/],
    ["no device", () => ({ CUDA_ON_CPU_DEVICES: "0" }), /the NVIDIA driver finds no device$/],
    ["another device", () => ({ TEMPER_CUDA_DEVICE: "3" }), /there is no device 3: the NVIDIA driver finds 1$/],
    [
      "an old driver",
      () => ({ CUDA_ON_CPU_DRIVER: "11080" }),
      /driver is too old: it has CUDA 11\.8, 12\.0 is needed$/,
    ],
    ["an old device", () => ({ CUDA_ON_CPU_CAPABILITY: "75" }), /is too old: compute capability 7\.5, 8\.0 is needed$/],
    [
      "no NVRTC",
      () => ({ TEMPER_CUDA_LIBRARIES: some("driver", driver) }),
      /NVRTC \(libnvrtc\) was not found; install/,
    ],
    [
      "no cuBLASLt",
      () => ({ TEMPER_CUDA_LIBRARIES: some("compiler", driver, "libnvrtc.so.13") }),
      /cuBLASLt \(libcublasLt\) was not found; install/,
    ],
    [
      "a kernel that computes something else",
      () => ({ CUDA_ON_CPU_BROKEN: "attention_dkv" }),
      /is not used: its attentionBackward is inf from the CPU's$/,
    ],
  ])("with %s says so in one line and takes the CPU", (_, environment, says) => {
    const { cuda, taken } = backendsWith({ TEMPER_CUDA_LIBRARIES: emulator(), ...environment() });
    expect(cuda).toMatchObject({ available: false, detail: expect.stringMatching(says) });
    expect(cuda.detail).not.toContain("\n");
    expect(taken).toBe("cpu");
  });

  it("takes the GPU where there is nothing to say", () => {
    expect(backendsWith({ TEMPER_CUDA_LIBRARIES: emulator() })).toMatchObject({
      cuda: { available: true },
      taken: "cuda",
    });
  });
});

/** Ops of every family in the order of a step; `made` has all that is alive, also after an error. */
function step(k: KernelBackend, made: Slot[]): Slot {
  const keep = <T extends Slot | readonly Slot[]>(slots: T): T => {
    made.push(...[slots].flat());
    return slots;
  };
  const upload = (
    type: "f32" | "i32",
    shape: number[],
    { buffer }: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>,
  ) => keep(k.upload(type, shape, new Uint8Array(buffer)));
  const floats = (rows: number, columns: number): Slot =>
    upload(
      "f32",
      [rows, columns],
      Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i)),
    );
  const ints = (values: number[]): Slot => upload("i32", [values.length], Int32Array.from(values));
  const [table, weight] = [floats(7, 32), floats(32, 32)];
  const w = upload("f32", [32], new Float32Array(32).fill(0.5));
  const coded = keep(k.cast(weight, "nf4/64"));
  const [ids, positions, layout] = [ints([1, 2, 3, 1]), ints([0, 1, 2, 3]), ints([0, 4, 1, 0, 4])];
  const x = keep(k.takeRows(table, ids));
  const [y, rstd] = keep(k.rmsNorm(x, w, 1e-5));
  const q = keep(k.matmul("nt", y, coded, 1));
  const [cos, sin] = keep(k.ropeTable(positions, Float64Array.of(1, 0.5), 1));
  const turned = keep(k.rope(q, cos, sin, 16, false));
  const options = { headDim: 16, scale: 0.25, window: 0, softCap: 0 };
  const [o, lse] = keep(k.attention(turned, q, q, layout, options));
  const gated = keep(k.swiglu(o, q));
  keep(k.addRmsNorm(gated, x, w, 1e-5));
  const dropped = keep(k.dropout(gated, 0.1, { seed: 1, stream: 2, step: 3, micro: 4, rank: 0 }));
  const [, dh, dw] = keep(k.linearCrossEntropy(dropped, table, ids, 0, true, true)) as [Slot, Slot, Slot];
  keep(k.attentionBackward(dh, turned, q, q, o, lse, layout, options));
  keep(k.rmsNormBackward(dh, x, w, rstd, true));
  keep(k.addRmsNormBackward(dh, y, x, w, rstd, true));
  keep(k.scatterAddRows(dh, ids, 7));
  const [scale, skip] = keep(k.clipFactor(keep(k.gradNorm([dw])), 1));
  const [m, v, count] = [keep(k.alloc("f32", [7, 32])), keep(k.alloc("f32", [7, 32])), keep(k.alloc("f32", [1]))];
  k.adamw([table], [dw], [m], [v], count, scale, skip, {
    lr: 0.1,
    beta1: 0.9,
    beta2: 0.99,
    epsilon: 1e-8,
    weightDecay: 0,
  });
  return table;
}

describe.skipIf(missing !== undefined)("a step on the emulator", () => {
  writeSync(control, new BigInt64Array(11), 0);
  heal();
  if (missing === undefined) process.env["TEMPER_CUDA_LIBRARIES"] = emulator();
  process.env["CUDA_ON_CPU_CONTROL"] = join(scratch, "control");
  const k = missing === undefined ? openBackend({ device: "cuda" }) : openBackend({ device: "cpu" });

  /** The parameter after a step, or the error of the step; nothing stays alive. */
  async function outcome(): Promise<Buffer | { code: string; message: string }> {
    const made: Slot[] = [];
    try {
      return Buffer.from(await k.read(step(k, made)));
    } catch (error) {
      return error as { code: string; message: string };
    } finally {
      for (const slot of made) k.free(slot);
    }
  }

  it.each([
    ["allocations", "OUT_OF_MEMORY", /no memory on .* for .*, \d+ bytes: \d+ of \d+ are free, \d+ are live/],
    ["launches", "DEVICE_FAILED", /^\w+: cuLaunchKernel: CUDA_ERROR_LAUNCH_FAILED$/],
    ["calls", "DEVICE_FAILED", /CUDA_ERROR_ILLEGAL_ADDRESS$/],
  ] as const)("fails cleanly at each of its %s", async (field, code, says) => {
    const whole = await outcome();
    const alive = get("memory");
    set(field, 1_000_000);
    expect(await outcome()).toEqual(whole);
    const count = 1_000_000 - get(field);
    expect(count).toBeGreaterThan(20);
    for (let i = 0; i < count; i++) {
      set(field, i);
      expect(await outcome(), `${field} ${i} of ${count}`).toMatchObject({
        code,
        message: expect.stringMatching(says),
      });
      expect([k.liveTensors(), k.liveBytes(), get("memory")], `${field} ${i} of ${count}`).toEqual([0, 0, alive]);
      heal();
    }
    expect(await outcome()).toEqual(whole);
  });

  it("is refused memory beyond TEMPER_CUDA_MEMORY, counted to the byte", () => {
    const capped = unchecked({ TEMPER_CUDA_MEMORY: "1000" });
    const x = capped.alloc("f32", [200]);
    expect(capped.availableBytes()).toBe(200);
    expect(() => capped.alloc("f32", [51])).toThrow(
      expect.objectContaining({
        code: "OUT_OF_MEMORY",
        message: expect.stringMatching(/for f32 \[51\], 204 bytes: 200 of 1000 are free, 800 are live$/),
      }),
    );
    capped.free(capped.alloc("f32", [50]));
    capped.free(x);
    expect([capped.liveTensors(), capped.liveBytes()]).toEqual([0, 0]);
  });

  it("compiles a kernel once, and again where the kept one is not whole", async () => {
    const folder = join(scratch, "cuda-kernels");
    const doubled = async (): Promise<number> => {
      const fresh = unchecked({ TEMPER_CACHE: scratch });
      const x = fresh.alloc("f32", [1]);
      fresh.fill(x, 3);
      return new Float32Array((await fresh.read(fresh.scale(x, 2))).buffer)[0] as number;
    };
    expect(await doubled()).toBe(6);
    const [name] = readdirSync(folder);
    const kept = join(folder, name as string);
    const whole = readFileSync(kept);
    for (const spoilt of [whole.subarray(0, 20), Buffer.from("nothing"), Buffer.concat([whole, whole])]) {
      writeFileSync(kept, spoilt);
      expect(await doubled()).toBe(6);
      expect(readFileSync(kept)).toEqual(whole);
    }
    expect(readdirSync(folder)).toEqual([name]);
  });
});
