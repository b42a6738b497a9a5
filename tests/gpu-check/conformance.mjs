// Every op and every gradient on the device, against the naive loops in f64.
import { openBackend } from "@welltempered/kernels";
import { Engine } from "@welltempered/tensor";
import { gradientCases } from "../../packages/tensor/test/gradient-cases.ts";
import { differences, gradientFault, reference, tapeGradients } from "../../packages/tensor/test/finite-differences.ts";
import { cases } from "../conformance/cases.ts";
import { largest } from "./distance.mjs";

/** As tests/conformance/gradients.test.ts. */
const GRADIENT_TOLERANCE = 2e-5;

async function outputs(k, test, dtype) {
  const slots = test.run(k, dtype);
  const read = async (slot) => {
    const { buffer } = await k.read(slot);
    return k.dtype(slot) === "f64" ? new Float64Array(buffer) : new Float32Array(buffer);
  };
  return await Promise.all(slots.map(read));
}

/** A share of the time is kept: what is not reached is counted as cut. */
async function each(all, seconds, check) {
  const [failures, end] = [[], performance.now() + 1000 * seconds];
  let done = 0;
  for (; done < all.length && performance.now() < end; done++) {
    const name = all[done].name;
    try {
      for (const failure of await check(all[done], done)) failures.push({ case: name, ...failure });
    } catch (error) {
      failures.push({ case: name, error: error.message });
    }
  }
  return { cases: done, cut: all.length - done, failures };
}

/** As tests/conformance: within four times the error of naive f32. */
export function conformance({ seconds }) {
  const naive = openBackend({ device: "reference" });
  return each(cases, seconds, async (test) => {
    const cuda = openBackend({ device: "cuda" });
    const [truth, plain] = [await outputs(naive, test, "f64"), await outputs(naive, test, "f32")];
    const ours = await outputs(cuda, test, "f32");
    return truth.flatMap((expected, i) => {
      const bound = 4 * largest(plain[i], expected) + 4 * 2 ** -24 * Math.max(largest(expected), 1 / 2);
      const error = largest(ours[i], expected);
      return error <= bound ? [] : [{ output: i, error, bound }];
    });
  });
}

/** Of every op in f32, against finite differences in f64. */
export function gradients({ seconds }) {
  const [exact, engine] = [reference(), Engine.open({ device: "cuda" })];
  const truths = gradientCases(exact);
  return each(gradientCases(engine), seconds, async ({ inputs, f }, i) => {
    const ours = await tapeGradients(engine, inputs, f, (data) => Float32Array.from(data));
    const fault = gradientFault(ours, await differences(exact, inputs, truths[i].f), GRADIENT_TOLERANCE);
    return fault === undefined ? [] : [{ error: fault }];
  });
}
