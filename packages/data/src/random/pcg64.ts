import { seedSequence } from "./seed-sequence.ts";

// PCG64 (XSL-RR 128/64, O'Neill 2014) with NumPy's seeding and its `random_interval` for shuffles:
// the draws equal `numpy.random.default_rng(entropy)`, which LlamaFactory's splits and mixtures come from.

const MASK_64 = (1n << 64n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

/** A seeded generator whose draws equal NumPy's `default_rng(entropy)`. */
export class Pcg64 {
  private state: bigint;
  private readonly increment: bigint;
  private spare: number | undefined;

  constructor(entropy: readonly number[]) {
    const [stateHigh = 0n, stateLow = 0n, streamHigh = 0n, streamLow = 0n] = seedSequence(entropy, 4);
    this.increment = BigInt.asUintN(128, (((streamHigh << 64n) | streamLow) << 1n) | 1n);
    this.state = BigInt.asUintN(128, this.increment + ((stateHigh << 64n) | stateLow));
    this.step();
  }

  private step(): void {
    this.state = BigInt.asUintN(128, this.state * MULTIPLIER + this.increment);
  }

  private next64(): bigint {
    this.step();
    const folded = (this.state >> 64n) ^ (this.state & MASK_64);
    const turn = this.state >> 122n;
    return ((folded >> turn) | (folded << (64n - turn))) & MASK_64;
  }

  private next32(): number {
    if (this.spare !== undefined) {
      const high = this.spare;
      this.spare = undefined;
      return high;
    }
    const word = this.next64();
    this.spare = Number(word >> 32n);
    return Number(word & 0xffffffffn);
  }

  /** A number in [0, 1) with 53 random bits. */
  uniform(): number {
    return Number(this.next64() >> 11n) / 2 ** 53;
  }

  /** An unbiased integer in [0, last], last < 2³²: bits are drawn until they fit. */
  integer(last: number): number {
    if (last === 0) return 0;
    const shift = Math.clz32(last);
    for (;;) {
      const value = (this.next32() << shift) >>> shift;
      if (value <= last) return value;
    }
  }

  /** The numbers 0 … length−1 in random order. */
  permutation(length: number): Uint32Array {
    const order = Uint32Array.from({ length }, (_, i) => i);
    for (let i = length - 1; i > 0; i--) {
      const j = this.integer(i);
      const held = order[i] ?? 0;
      order[i] = order[j] ?? 0;
      order[j] = held;
    }
    return order;
  }
}
