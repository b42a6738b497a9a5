// Seconds from work and the rates of a machine.

import { flopOf, type Product, type Work } from "@welltempered/kernels";

/** What a machine does a second. */
export interface Rates {
  /** FLOP of a product such as this one. */
  product(product: Product): number;
  /** FLOP of a head with its loss, by op, passes over logits included; undefined where its products say it. */
  head(op: string): number | undefined;
  /** FLOP of attention, by op. */
  attention(op: string): number;
  /** Bytes that an op reads and writes. */
  bytes(op: string): number;
  /** Seconds that every call costs. */
  call: number;
}

export interface Cost {
  products: number;
  attention: number;
  /** Norms, gates, casts, residuals, the optimizer: what waits for memory. */
  memory: number;
  calls: number;
}

/** Seconds of calls made one after the other. */
export function costOf(work: readonly Work[], rates: Rates): Cost {
  const cost: Cost = { products: 0, attention: 0, memory: 0, calls: work.length * rates.call };
  for (const { op, products, attention, bytes } of work) {
    const head = rates.head(op);
    for (const product of products) cost.products += flopOf(product) / (head ?? rates.product(product));
    if (attention !== undefined) cost.attention += attention.flop / rates.attention(op);
    else if (head === undefined) cost.memory += bytes / rates.bytes(op);
  }
  return cost;
}

export const secondsOf = ({ products, attention, memory, calls }: Cost): number =>
  products + attention + memory + calls;

/** Mean over micro-batches, `perStep` of them a step, and one update. */
export function stepCost(microBatches: readonly Cost[], perStep: number, update: Cost): Cost {
  const part = (name: keyof Cost): number =>
    (perStep * microBatches.reduce((sum, cost) => sum + cost[name], 0)) / Math.max(1, microBatches.length) +
    update[name];
  return { products: part("products"), attention: part("attention"), memory: part("memory"), calls: part("calls") };
}
