// The gradient of every op on every backend, in f32, against finite differences in f64 of the naive loops.

import { describeBackends } from "@welltempered/kernels";
import type { Device } from "@welltempered/kernels";
import { Engine } from "@welltempered/tensor";
import { describe, it } from "vitest";

import { differences, reference, tapeGradients } from "../../packages/tensor/test/finite-differences.ts";
import { expectGradients } from "../../packages/tensor/test/gradcheck.ts";
import { gradientCases } from "../../packages/tensor/test/gradient-cases.ts";
import "./emulator.ts";

/** Sums of a few dozen products of numbers around 1, in f32. */
const TOLERANCE = 2e-5;
const exact = reference();
const truths = gradientCases(exact);
const present = describeBackends().backends.filter(({ name, available }) => available && name !== "reference");

describe.each(present)("on the $name backend", ({ name }) => {
  const engine = Engine.open({ device: name as Device });
  const cases = gradientCases(engine).map((each, i) => ({ ...each, truth: truths[i] as (typeof truths)[number] }));

  it.each(cases)("the gradient of $name is right", async ({ inputs, f, truth }) => {
    const ours = await tapeGradients(engine, inputs, f, Float32Array.from.bind(Float32Array));
    expectGradients(ours, await differences(exact, inputs, truth.f), TOLERANCE);
  });
});
