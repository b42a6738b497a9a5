import { Pcg64 } from "./pcg64.ts";

/** What decides the order of one epoch; nothing else does, so (epoch, index) is all a resumed run needs. */
export interface EpochOrderOptions {
  seed: number;
  epoch: number;
  shuffle: boolean;
}

/** The order in which an epoch visits its rows: `default_rng([seed, epoch + 1]).permutation(length)`, or the file's order. */
export function epochOrder(length: number, options: EpochOrderOptions): Uint32Array {
  if (!options.shuffle) return Uint32Array.from({ length }, (_, i) => i);
  return new Pcg64([options.seed, options.epoch + 1]).permutation(length);
}
