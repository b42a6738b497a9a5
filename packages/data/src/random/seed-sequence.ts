// NumPy's SeedSequence (O'Neill's seed_seq_fe, pool of four words): spreads a few integers into any number of seed bits.
// Kept bit-equal to NumPy so that splits and shuffles can be checked against, and reproduced by, `default_rng`.

const POOL_SIZE = 4;
const INIT_A = 0x43b0d7e5;
const MULT_A = 0x931e8875;
const INIT_B = 0x8b51f9dd;
const MULT_B = 0x58f38ded;
const MIX_MULT_L = 0xca01f9dd;
const MIX_MULT_R = 0x4973f715;

class Hasher {
  private constant: number;
  private readonly multiplier: number;

  constructor(initial: number, multiplier: number) {
    this.constant = initial;
    this.multiplier = multiplier;
  }

  hash(word: number): number {
    const mixed = word ^ this.constant;
    this.constant = Math.imul(this.constant, this.multiplier);
    return fold(Math.imul(mixed, this.constant));
  }
}

function fold(word: number): number {
  return (word ^ (word >>> 16)) >>> 0;
}

function mix(x: number, y: number): number {
  return fold(Math.imul(MIX_MULT_L, x) - Math.imul(MIX_MULT_R, y));
}

function toWords(entropy: readonly number[]): number[] {
  return entropy.flatMap((value) => (value > 0xffffffff ? [value >>> 0, Math.floor(value / 2 ** 32)] : [value]));
}

function buildPool(words: readonly number[]): Uint32Array {
  const pool = new Uint32Array(POOL_SIZE);
  const hasher = new Hasher(INIT_A, MULT_A);
  const stir = (word: number, target: number): void => {
    pool[target] = mix(pool[target] ?? 0, hasher.hash(word));
  };
  for (let i = 0; i < POOL_SIZE; i++) pool[i] = hasher.hash(words[i] ?? 0);
  for (let from = 0; from < POOL_SIZE; from++) {
    for (let to = 0; to < POOL_SIZE; to++) if (from !== to) stir(pool[from] ?? 0, to);
  }
  for (const word of words.slice(POOL_SIZE)) for (let to = 0; to < POOL_SIZE; to++) stir(word, to);
  return pool;
}

/** `numSeeds` 64-bit seeds from non-negative safe integers, as `SeedSequence(entropy).generate_state(n, uint64)`. */
export function seedSequence(entropy: readonly number[], numSeeds: number): bigint[] {
  const pool = buildPool(toWords(entropy));
  const hasher = new Hasher(INIT_B, MULT_B);
  const words = Array.from({ length: numSeeds * 2 }, (_, i) => hasher.hash(pool[i % POOL_SIZE] ?? 0));
  return Array.from({ length: numSeeds }, (_, i) => (BigInt(words[2 * i + 1] ?? 0) << 32n) | BigInt(words[2 * i] ?? 0));
}
