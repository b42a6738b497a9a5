// What a test says of an op's gradient.

import type { Engine } from "@welltempered/tensor";
import { expect } from "vitest";
import {
  differences,
  gradientFault,
  tapeGradients,
  type GradcheckInput,
  type Gradients,
  type Op,
} from "./finite-differences.ts";

/** Each element within `tolerance` of the larger of 1 and what it should be. */
export function expectGradients(gradients: Gradients, expected: Gradients, tolerance: number): void {
  expect(gradientFault(gradients, expected, tolerance)).toBeUndefined();
}

/** Compares the tape's gradients with differences, to 1e-7. */
export async function gradcheck(engine: Engine, inputs: readonly GradcheckInput[], f: Op): Promise<void> {
  expectGradients(await tapeGradients(engine, inputs, f), await differences(engine, inputs, f), 1e-7);
}
