import type { Box } from "./box.ts";

/** One bad input: what is spoiled, and the answer it must get. */
export interface BadInput {
  /** The case of the checklist, as "A1". */
  id: string;
  what: string;
  spoil: (box: Box) => void;
  /** Words after `temper`; `train run.yaml` unless given. */
  args?: readonly string[];
  env?: Record<string, string>;
  exit?: 2 | 3;
  /** Milliseconds it may take on a quiet machine, where 2 s are not enough. */
  within?: number;
  says: RegExp;
}

/** Cases that differ only in what is spoiled. */
export function family<T>(
  id: string,
  says: RegExp,
  variants: readonly (readonly [what: string, value: T])[],
  spoil: (box: Box, value: T) => void,
): BadInput[] {
  return variants.map(([what, value]) => ({ id, what, says, spoil: (box) => spoil(box, value) }));
}

/** Cases that differ only in the words of the command line. */
export function commandLines(
  id: string,
  variants: readonly (readonly [what: string, args: readonly string[], says: RegExp])[],
): BadInput[] {
  return variants.map(([what, args, says]) => ({ id, what, args, says, spoil: () => {} }));
}
