import { AdapterError } from "./errors.ts";

type Field = readonly [name: string, value: number];

/**
 * How many inputs a block has, from the number of blocks or from their size; the other one is 0.
 * peft rounds a size that does not divide the inputs to one that does, with a warning; here the reader decides.
 * @throws {AdapterError} naming the field
 */
export function blockSizeOf(path: string, inFeatures: number, { count, size }: { count: Field; size: Field }): number {
  if ((count[1] === 0) === (size[1] === 0))
    throw new AdapterError(`${count[0]} is ${count[1]} and ${size[0]} is ${size[1]}; exactly one must be 0`);
  const [name, value] = size[1] === 0 ? count : size;
  if (inFeatures % value !== 0)
    throw new AdapterError(
      `${name} ${value} does not divide the ${inFeatures} inputs of ${path}; the nearest that does is ${nearest(inFeatures, value)}`,
    );
  return size[1] === 0 ? inFeatures / value : value;
}

/** The divisor of n nearest to a value, the smaller one of two. */
function nearest(n: number, value: number): number {
  for (let step = 1; step < n; step++)
    for (const candidate of [value - step, value + step])
      if (candidate > 0 && candidate <= n && n % candidate === 0) return candidate;
  return n;
}
