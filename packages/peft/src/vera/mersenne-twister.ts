// The random numbers of a torch.Generator on the CPU, so that an adapter without its matrices means the same here and there.

const [length, shift] = [624, 397];

/** MT19937 (Matsumoto & Nishimura 1998): 32-bit numbers; torch seeds it with the low 32 bits of a key. */
export class MersenneTwister {
  readonly #state = new Uint32Array(length);
  #next = length;

  constructor(key: number) {
    const state = this.#state;
    state[0] = key % 2 ** 32;
    for (let i = 1; i < length; i++) {
      const before = state[i - 1] ?? 0;
      state[i] = Math.imul(before ^ (before >>> 30), 1_812_433_253) + i;
    }
  }

  next(): number {
    if (this.#next === length) this.#twist();
    let y = this.#state[this.#next++] ?? 0;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c_5680;
    y ^= (y << 15) & 0xefc6_0000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    const at = (i: number): number => state[i % length] ?? 0;
    for (let i = 0; i < length; i++) {
      const y = (at(i) & 0x8000_0000) | (at(i + 1) & 0x7fff_ffff);
      state[i] = at(i + shift) ^ (y >>> 1) ^ ((y & 1) === 0 ? 0 : 0x9908_b0df);
    }
    this.#next = 0;
  }

  /**
   * `torch.empty(count).uniform_(-bound, bound)`: 24 bits a number. torch fuses the product and the sum; a double holds
   * the fused result, which is rounded once.
   */
  uniform(count: number, bound: number): Float32Array {
    const low = -Math.fround(bound);
    const width = Math.fround(-2 * low);
    return Float32Array.from({ length: count }, () => ((this.next() & 0xff_ffff) / 2 ** 24) * width + low);
  }
}
