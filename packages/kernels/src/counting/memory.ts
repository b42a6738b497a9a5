// Slots without memory behind them: dtypes, shapes, owners, and how many bytes the CPU backend would hold.

import type { Shape, Slot, StorageType } from "../backend.ts";
import { KernelError } from "../errors.ts";
import { bytesOf } from "../storage.ts";

interface Storage {
  bytes: number;
  /** Bytes of the block that the CPU backend takes for it. */
  held: number;
  phase: string;
  owners: number;
}

interface Entry {
  type: StorageType;
  shape: Shape;
  storage: Storage;
  /** Numbers of an uploaded i32 tensor: a layout or labels, which decide what an op costs. */
  integers: Int32Array | undefined;
}

/** Blocks are cache lines in eight sizes an octave, and one line for their alignment (crates/kernels/src/pool.rs). */
export function blockBytes(bytes: number): number {
  const lines = Math.max(1, Math.ceil(bytes / 64));
  const step = Math.max(1, 2 ** Math.ceil(Math.log2(lines)) / 16);
  return 64 * (Math.ceil(lines / step) * step + 1);
}

export interface Peak {
  /** Bytes of blocks at the moment when they were most. */
  bytes: number;
  /** The same by what was going on when they were taken. */
  phases: ReadonlyMap<string, number>;
}

export class Memory {
  /** What new memory is counted under. */
  phase = "";
  readonly #entries = new Map<number, Entry>();
  readonly #phases = new Map<string, number>();
  /** Slots are at least 2²², as those of the native library, so that no count passes for one. */
  #next = 2 ** 22;
  #bytes = 0;
  #held = 0;
  #peak: Peak = { bytes: 0, phases: new Map() };
  #most = 0;

  add(type: StorageType, shape: Shape, integers?: Int32Array): Slot {
    const bytes = bytesOf(type, shape);
    const storage = { bytes, held: blockBytes(bytes), phase: this.phase, owners: 0 };
    this.#bytes += bytes;
    this.#most = Math.max(this.#most, this.#bytes);
    this.#hold(storage, storage.held);
    return this.#insert({ type, shape: [...shape], storage, integers });
  }

  share(x: Slot, shape: Shape): Slot {
    const { type, storage, integers } = this.get(x);
    return this.#insert({ type, shape: [...shape], storage, integers });
  }

  get(x: Slot): Entry {
    const entry = this.#entries.get(x);
    if (entry === undefined) throw new KernelError("TENSOR_DISPOSED", `slot ${x} names no tensor`);
    return entry;
  }

  free(x: Slot): void {
    const { storage } = this.get(x);
    this.#entries.delete(x);
    if (--storage.owners > 0) return;
    this.#bytes -= storage.bytes;
    this.#hold(storage, -storage.held);
  }

  get tensors(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The most that `bytes` has been. */
  get mostBytes(): number {
    return this.#most;
  }

  get peak(): Peak {
    return this.#peak;
  }

  #insert(entry: Entry): Slot {
    entry.storage.owners++;
    this.#entries.set(this.#next, entry);
    return this.#next++ as Slot;
  }

  #hold({ phase }: Storage, held: number): void {
    this.#held += held;
    this.#phases.set(phase, (this.#phases.get(phase) ?? 0) + held);
    if (this.#held > this.#peak.bytes) this.#peak = { bytes: this.#held, phases: new Map(this.#phases) };
  }
}
