import {
  openBackend,
  type BackendOptions,
  type DType,
  type KernelBackend,
  type RngKey,
  type Shape,
  type Slot,
  type StorageType,
} from "@welltempered/kernels";
import { Handle } from "./handle.ts";
import { Narrowed } from "./rest.ts";
import { Node, runBackward, type Pullback, type Source } from "./tape.ts";
import { Tensor, type TensorData } from "./tensor.ts";

/** Where a run is in its random streams; `fit()` moves it. */
export interface RngState {
  seed: number;
  step: number;
  micro: number;
  rank: number;
}

interface Scope {
  tensors: Set<Tensor>;
  /** Order of the first op recorded inside. */
  firstOrder: number;
}

/**
 * One backend with its tape, scopes and random state. Nothing is global: two engines do not know of each other.
 * Ops find their engine in their inputs.
 */
export class Engine {
  readonly backend: KernelBackend;
  /** Whether ops are recorded for `backward`. */
  grad = true;
  /** What activations wait for backward in, where not as they are. */
  narrowSaved: "bf16" | "f16" | undefined = undefined;
  readonly rng: RngState = { seed: 42, step: 0, micro: 0, rank: 0 };
  readonly #scopes: Scope[] = [];
  readonly #nodes = new Set<Node>();
  #order = 0;

  constructor(backend: KernelBackend) {
    this.backend = backend;
  }

  static open(options: BackendOptions = {}): Engine {
    return new Engine(openBackend(options));
  }

  // ── making tensors ──
  tensor(data: TensorData, shape: Shape = [data.length], dtype: DType = dtypeOf(data)): Tensor {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return this.adopt(this.backend.upload(dtype, shape, bytes));
  }

  zeros(shape: Shape, dtype: StorageType = "f32"): Tensor {
    return this.adopt(this.backend.alloc(dtype, shape));
  }

  ones(shape: Shape): Tensor {
    const ones = this.backend.alloc("f32", shape);
    this.backend.fill(ones, 1);
    return this.adopt(ones);
  }

  /** U[low, high) in f32; `stream` names who draws (see `streamOf`). */
  uniform(shape: Shape, low: number, high: number, stream: number): Tensor {
    return this.adopt(this.backend.uniform(shape, low, high, this.key(stream)));
  }

  normal(shape: Shape, mean: number, std: number, stream: number): Tensor {
    return this.adopt(this.backend.normal(shape, mean, std, this.key(stream)));
  }

  /** Takes over a slot that the caller owns. */
  adopt(slot: Slot): Tensor {
    return this.wrap(new Handle(this.backend, slot), this.backend.shape(slot));
  }

  /** A tensor on a handle whose count the caller gives away. */
  wrap(handle: Handle, shape: Shape): Tensor {
    const tensor = new Tensor(this, handle, shape);
    this.#scopes.at(-1)?.tensors.add(tensor);
    return tensor;
  }

  /** A handle of its own on a copy; lets go of the original. */
  ownedCopy(handle: Handle): Handle {
    const copy = new Handle(this.backend, this.backend.copy(handle.slot));
    handle.release();
    return copy;
  }

  /** A count of the tape's on a tensor, or on a handle that the caller gives away. */
  save(owner: Tensor | Handle): Handle {
    if (owner instanceof Tensor) {
      const { handle } = owner;
      if (this.narrowSaved !== undefined && handle.rest === undefined && owner.dtype === "f32")
        handle.rest = new Narrowed(this.narrowSaved);
      return handle.save();
    }
    owner.save().release();
    return owner;
  }

  // ── scopes ──
  /** Frees every tensor made inside, but for those in the result and those kept. */
  scope<T>(body: () => T): T {
    this.#scopes.push({ tensors: new Set(), firstOrder: this.#order });
    try {
      return this.#close(body());
    } catch (error) {
      this.#close(undefined);
      throw error;
    }
  }

  /** As `scope`, for an asynchronous body. Bodies on one engine must not overlap in time. */
  async scopeAsync<T>(body: () => Promise<T>): Promise<T> {
    this.#scopes.push({ tensors: new Set(), firstOrder: this.#order });
    try {
      return this.#close(await body());
    } catch (error) {
      this.#close(undefined);
      throw error;
    }
  }

  /** Takes a tensor out of every scope: from now on the caller disposes of it. */
  keep(tensor: Tensor): Tensor {
    for (const { tensors } of this.#scopes) tensors.delete(tensor);
    return tensor;
  }

  #close<T>(result: T): T {
    const { tensors, firstOrder } = this.#scopes.pop() ?? { tensors: new Set<Tensor>(), firstOrder: this.#order };
    const outer = this.#scopes.at(-1)?.tensors;
    const results = [...tensorsIn(result)];
    for (const tensor of results) {
      if (tensors.delete(tensor)) outer?.add(tensor);
    }
    for (const tensor of tensors) tensor.dispose();
    if (outer === undefined && results.every((tensor) => tensor.edge === undefined)) this.#forgetFrom(firstOrder);
    return result;
  }

  /** Drops ops recorded in an outermost scope that no `backward` visited and no result needs. */
  #forgetFrom(firstOrder: number): void {
    for (const node of this.#nodes) {
      if (node.order < firstOrder) continue;
      node.release();
      this.#nodes.delete(node);
    }
  }

  // ── gradients ──
  noGrad<T>(body: () => T): T {
    const before = this.grad;
    this.grad = false;
    try {
      return body();
    } finally {
      this.grad = before;
    }
  }

  async noGradAsync<T>(body: () => Promise<T>): Promise<T> {
    const before = this.grad;
    this.grad = false;
    try {
      return await body();
    } finally {
      this.grad = before;
    }
  }

  /** Puts an op on the tape. Takes over the counts of `saved`. */
  record(
    name: string,
    sources: readonly Source[],
    outputs: readonly Tensor[],
    saved: readonly Handle[],
    pullback: Pullback,
  ): void {
    const node = new Node(name, this.#order++, sources, outputs.length, saved, pullback);
    this.#nodes.add(node);
    for (const [output, tensor] of outputs.entries()) {
      tensor.requiresGrad = true;
      tensor.edge = { node, output };
    }
  }

  /** Adds d loss / d leaf · `seed` to the `grad` of every leaf, and frees the graph behind `loss`. */
  backward(loss: Tensor, seed: Tensor | number = 1): void {
    runBackward(this, loss, this.#seedFor(loss, seed), (node) => this.#nodes.delete(node));
  }

  #seedFor(loss: Tensor, seed: Tensor | number): Handle {
    if (typeof seed !== "number") return seed.handle.retain();
    const slot = this.backend.alloc(loss.dtype, loss.shape);
    this.backend.fill(slot, seed);
    return new Handle(this.backend, slot);
  }

  key(stream: number): RngKey {
    return { ...this.rng, stream };
  }

  liveTensors(): number {
    return this.backend.liveTensors();
  }

  liveBytes(): number {
    return this.backend.liveBytes();
  }
}

function dtypeOf(data: TensorData): DType {
  if (data instanceof Float32Array) return "f32";
  if (data instanceof Float64Array) return "f64";
  if (data instanceof Int32Array) return "i32";
  if (data instanceof Int8Array) return "i8";
  return data instanceof Uint16Array ? "bf16" : "u8";
}

/** Tensors in a value, its arrays and its plain objects. */
function* tensorsIn(value: unknown): Generator<Tensor> {
  if (value instanceof Tensor) yield value;
  else if (Array.isArray(value)) for (const item of value) yield* tensorsIn(item);
  else if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) yield* tensorsIn(item);
  }
}

/** 32-bit FNV-1a of a module path or a purpose: the `stream` of its random numbers. */
export function streamOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}
