import { UserError } from "@welltempered/formats";

/** A fault to inject, for tests of the guards: `nan:<step>` (loss) or `inf-grad:<first>-<last>` (gradient). */
export interface Fault {
  kind: "nan" | "inf-grad";
  first: number;
  last: number;
}

/** Reads `TEMPER_FAULT`. @throws {UserError} where it has another form */
export function parseFault(text: string | undefined): Fault | undefined {
  if (text === undefined || text === "") return undefined;
  const match = /^(nan|inf-grad):(\d+)(?:-(\d+))?$/.exec(text);
  if (match === null)
    throw new UserError(
      `TEMPER_FAULT: ${JSON.stringify(text)} is not nan:<step> or inf-grad:<first>-<last>; correct it`,
    );
  const [, kind, first, last] = match;
  return { kind: kind as Fault["kind"], first: Number(first), last: Number(last ?? first) };
}

/** The fault that is due at a step. */
export function faultAt(fault: Fault | undefined, step: number): Fault["kind"] | undefined {
  return fault !== undefined && step >= fault.first && step <= fault.last ? fault.kind : undefined;
}
