import { UserError } from "@welltempered/formats";

/** A fault to inject, for tests of the guards: `nan:<step>` (loss) or `inf-grad:<first>-<last>` (gradient). */
export interface Fault {
  kind: "nan" | "inf-grad";
  first: number;
  last: number;
}

/** Reads `TEMPER_FAULT`. @throws {UserError} where it has another form */
export function parseFault(text: string | undefined): Fault | undefined {
  // The kernels read `panic:<op>` themselves.
  if (text === undefined || text === "" || text.startsWith("panic:")) return undefined;
  const match = /^(nan|inf-grad):(\d+)(?:-(\d+))?$/.exec(text);
  if (match === null) throw new UserError(`TEMPER_FAULT: ${JSON.stringify(text)} is not nan:<step> or inf-grad:<first>-<last>; correct it`);
  const [, kind, first, last] = match;
  return { kind: kind as Fault["kind"], first: Number(first), last: Number(last ?? first) };
}

/** What the loss and the seed of its gradient are multiplied by at a step. */
export function faultFactors(fault: Fault | undefined, step: number): { loss: number; seed: number } {
  if (fault === undefined || step < fault.first || step > fault.last) return { loss: 1, seed: 1 };
  return fault.kind === "nan" ? { loss: Number.NaN, seed: Number.NaN } : { loss: 1, seed: Number.POSITIVE_INFINITY };
}
