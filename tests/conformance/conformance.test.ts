// Each backend against the naive loops in f64. The bound is four times the error that naive f32 itself makes.

import { appendFileSync, readFileSync } from "node:fs";

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
  const dtype = k.dtype(slot);
  if (dtype === "i32") return Float32Array.from(new Int32Array(buffer));
  return dtype === "f64" ? new Float64Array(buffer) : new Float32Array(buffer);
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

interface Expected {
  truth: (Float32Array | Float64Array)[];
  /** What naive f32 makes of it. */
  naive: (Float32Array | Float64Array)[];
  called: ReadonlySet<string>;
}
const judged = new Map<Case, Promise<Expected>>();

/** The case by the naive loops, which take longer than any backend: once for all of them. */
function expectedOf(test: Case): Promise<Expected> {
  const found = judged.get(test) ?? judge(test);
  judged.set(test, found);
  return found;
}

async function judge(test: Case): Promise<Expected> {
  const called = new Set<string>();
  const truth = await outputs(noting(reference, called), test, "f64");
  return { truth, naive: await outputs(reference, test, "f32"), called };
}

/** Methods that a backend's passed cases called. */
const passed = new Map<string, Set<string>>();

/** The backend, with the methods called noted in `called`. */
function noting(k: KernelBackend, called: Set<string>): KernelBackend {
  return new Proxy(k, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      called.add(String(name));
      return method.bind(target);
    },
  });
}

/** For docs/backends.md: tools/backends.mjs names the file. */
function pass(backend: string, called: ReadonlySet<string>): void {
  const known = passed.get(backend) ?? new Set();
  const fresh = [...called].filter((op) => !known.has(op));
  passed.set(backend, new Set([...known, ...fresh]));
  const file = process.env["TEMPER_CELLS"];
  if (file !== undefined) for (const op of fresh) appendFileSync(file, `${JSON.stringify({ backend, op })}\n`);
}

const present = describeBackends().backends.filter(({ name }) => name !== "reference");

/** Of docs/backends.md: what an emulator showed is not what a device did. */
function columnOf(name: string, detail: string): string {
  if (name !== "cuda") return name;
  return detail.startsWith("emulated") ? "cuda-emulated" : "cuda-device";
}

describe.each(present)("the $name backend", ({ name, available, detail }) => {
  if (!available) {
    // Where a machine cannot build the module that is no fault, but one that decides has to.
    it.skipIf(process.env["CI"] !== "true")(`is skipped: no ${name} toolchain`, () => expect.fail(detail));
    return;
  }
  const device = name as Device;
  const one = openBackend({ device, threads: 1 });
  const two = openBackend({ device, threads: 2 });

  it.each(cases)(
    "$name: within 4 × the error of naive f32, the same bits again, on more threads where there are",
    async (test) => {
      const { truth, naive, called: seen } = await expectedOf(test);
      const called = new Set<string>();
      const [ours, threaded] = [await outputs(noting(one, called), test, "f32"), await outputs(two, test, "f32")];
      expect(ours.length).toBe(truth.length);
      for (const [i, expected] of truth.entries()) {
        const got = ours[i] as Float32Array;
        expect(got.length).toBe(expected.length);
        const bound = 4 * largest(naive[i] as Float32Array, expected) + floor(expected);
        expect(largest(got, expected), `output ${i}`).toBeLessThanOrEqual(bound);
        const again = threaded[i] as Float32Array;
        expect(Buffer.compare(Buffer.from(got.buffer), Buffer.from(again.buffer)), `output ${i} on 2 threads`).toBe(0);
      }
      pass("reference", seen);
      pass(columnOf(name, detail), called);
    },
  );

  it("draws the same random numbers, bit for bit, and drops the same elements", async () => {
    for (const test of cases.filter((test) => /^(uniform|dropout)/.test(test.name))) {
      expect(await outputs(one, test, "f32")).toEqual((await expectedOf(test)).naive);
    }
  });
});

// The table is being made where cells are asked for.
it.skipIf(process.env["TEMPER_CELLS"] !== undefined)("docs/backends.md says what the cases showed, and no more", () => {
  const text = readFileSync(new URL("../../docs/backends.md", import.meta.url), "utf8");
  const rows = text.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  const titles = rows.find((row) => row[1] === "op") ?? [];
  const shown = present.filter(({ available }) => available).map(({ name, detail }) => columnOf(name, detail));
  expect(titles).toEqual(expect.arrayContaining(["reference", ...shown]));
  for (const [column, title] of titles.entries()) {
    if (!["reference", ...shown].includes(title)) continue;
    const listed = rows.filter((row) => row[column] === "✓").map((row) => row[1]);
    expect(listed.sort(), `${title}: run node tools/backends.mjs`).toEqual([...(passed.get(title) ?? [])].sort());
  }
});
