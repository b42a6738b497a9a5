import type { KernelBackend, Slot } from "@welltempered/kernels";

/**
 * Shared ownership of one slot. A tensor, the tape and a gradient each hold a count; the last to let go frees it.
 * A saved activation that lives elsewhere (host memory, disk) is a subclass that brings the slot back in `slot`.
 */
export class Handle {
  readonly backend: KernelBackend;
  readonly #slot: Slot;
  #count = 1;

  constructor(backend: KernelBackend, slot: Slot) {
    this.backend = backend;
    this.#slot = slot;
  }

  get slot(): Slot {
    return this.#slot;
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
    if (this.#count === 0) this.backend.free(this.#slot);
  }
}
