// Sums that stay on the device between two logs: the loss, and whatever an objective adds in `aux`.

import type { Engine, Tensor } from "@welltempered/tensor";
import type { Pending } from "./state.ts";

export interface Sums {
  /** sum[name] += factor · value [1], nothing is read. */
  add(name: string, value: Tensor, factor: number, count: number): void;
  read(): Promise<Record<string, Pending>>;
  clear(): void;
  dispose(): void;
}

export function createSums(engine: Engine, start: Readonly<Record<string, Pending>> = {}): Sums {
  const sums = new Map<string, { tensor: Tensor; count: number }>();
  for (const [name, { sum, count }] of Object.entries(start)) {
    sums.set(name, { tensor: engine.keep(engine.tensor(Float32Array.of(sum))), count });
  }
  const entryOf = (name: string, like: Tensor): { tensor: Tensor; count: number } => {
    const entry = sums.get(name) ?? { tensor: engine.keep(engine.zeros([1], like.dtype)), count: 0 };
    sums.set(name, entry);
    return entry;
  };
  const clear = (): void => {
    for (const { tensor } of sums.values()) tensor.dispose();
    sums.clear();
  };
  return {
    add: (name, value, factor, count) => {
      const entry = entryOf(name, value);
      engine.backend.accumulate(entry.tensor.slot, value.slot, factor);
      entry.count += count;
    },
    read: async () => {
      const read: Record<string, Pending> = {};
      for (const [name, { tensor, count }] of sums) read[name] = { sum: await tensor.item(), count };
      return read;
    },
    clear,
    dispose: clear,
  };
}
