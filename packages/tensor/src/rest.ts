// Where activations are between forward and backward, if not as they were.

import type { KernelBackend, Slot } from "@welltempered/kernels";
import type { Handle, Rest } from "./handle.ts";

/** Nowhere: made again from what its op saved anyway, which is kept as long. */
export class Remade implements Rest {
  readonly narrow = undefined;
  readonly #sources: readonly Handle[];
  readonly #slotOf: (source: Handle) => Slot;
  readonly #again: (k: KernelBackend, saved: readonly Slot[]) => Slot;

  /** @param slotOf what `again` gets of a source */
  constructor(
    sources: readonly Handle[],
    slotOf: (source: Handle) => Slot,
    again: (k: KernelBackend, saved: readonly Slot[]) => Slot,
  ) {
    this.#sources = sources;
    this.#slotOf = slotOf;
    this.#again = again;
  }

  begin(k: KernelBackend, slot: Slot): void {
    for (const source of this.#sources) source.save();
    k.free(slot);
  }

  end(k: KernelBackend): Slot {
    const slot = this.#again(k, this.#sources.map(this.#slotOf));
    this.drop();
    return slot;
  }

  drop(): void {
    for (const source of this.#sources) source.releaseSaved();
  }
}

/** In half the memory of f32: bf16 keeps seven bits of its fraction, f16 ten and numbers up to 65,504. */
export class Narrowed implements Rest {
  readonly #dtype: "bf16" | "f16";
  #slot: Slot | undefined;

  constructor(dtype: "bf16" | "f16") {
    this.#dtype = dtype;
  }

  get narrow(): Slot | undefined {
    return this.#slot;
  }

  begin(k: KernelBackend, slot: Slot): void {
    this.#slot = k.cast(slot, this.#dtype);
    k.free(slot);
  }

  end(k: KernelBackend): Slot {
    const narrow = this.#slot as Slot;
    const slot = k.cast(narrow, "f32");
    this.drop(k);
    return slot;
  }

  drop(k: KernelBackend): void {
    if (this.#slot !== undefined) k.free(this.#slot);
    this.#slot = undefined;
  }
}
