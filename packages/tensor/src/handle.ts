import type { KernelBackend, Slot } from "@welltempered/kernels";

/** Where the numbers of a handle are while only the tape wants them. */
export interface Rest {
  /** The numbers in fewer bits, where they lie so. */
  readonly narrow: Slot | undefined;
  /** They are in `slot`, which now is this one's to free. */
  begin(k: KernelBackend, slot: Slot): void;
  /** A slot with them again. */
  end(k: KernelBackend): Slot;
  /** They will not be asked for again. */
  drop(k: KernelBackend): void;
}

/**
 * Shared ownership of one slot. A tensor, the tape and a gradient each hold a count; the last to let go frees it.
 * Where the tape alone is left, the slot may go to `rest` until it is asked for.
 */
export class Handle {
  readonly backend: KernelBackend;
  #slot: Slot | undefined;
  #count = 1;
  /** Counts that the tape holds. */
  #saved = 0;
  /** Where the numbers may be while there are no other counts than the tape's. */
  rest: Rest | undefined;

  constructor(backend: KernelBackend, slot: Slot) {
    this.backend = backend;
    this.#slot = slot;
  }

  get slot(): Slot {
    this.#slot ??= (this.rest as Rest).end(this.backend);
    return this.#slot;
  }

  /** As `slot`, in fewer bits where the numbers lie so: for kernels that read any float dtype. */
  get waiting(): Slot {
    return this.#slot ?? this.rest?.narrow ?? this.slot;
  }

  /** True where nobody else would notice an overwrite. */
  get unshared(): boolean {
    return this.#count === 1;
  }

  retain(): this {
    this.#count++;
    return this;
  }

  release(): void {
    this.#count--;
    if (this.#count === 0) this.#free();
    else if (this.#count === this.#saved && this.#slot !== undefined && this.rest !== undefined) {
      this.rest.begin(this.backend, this.#slot);
      this.#slot = undefined;
    }
  }

  /** A count of the tape's. */
  save(): this {
    this.#saved++;
    return this.retain();
  }

  /** Lets go of a count of the tape's. Numbers that backward brought back stay until the last. */
  releaseSaved(): void {
    this.#saved--;
    this.#count--;
    if (this.#count === 0) this.#free();
  }

  #free(): void {
    if (this.#slot === undefined) this.rest?.drop(this.backend);
    else this.backend.free(this.#slot);
    this.#slot = undefined;
  }
}
