import { isCodec, type Shape, type Slot, type StorageType } from "@welltempered/kernels";
import type { Engine } from "./engine.ts";
import { TensorError } from "./errors.ts";
import type { Handle } from "./handle.ts";
import type { Edge } from "./tape.ts";

export type TensorData = Float32Array | Float64Array | Int32Array | Uint16Array | Int8Array | Uint8Array;

/** Numbers on a backend. Its memory is freed by the scope it was made in, or by `dispose()`; never by the collector. */
export class Tensor {
  readonly engine: Engine;
  readonly shape: Shape;
  /** A leaf that collects `grad`, or the result of an op on one. */
  requiresGrad = false;
  /** d loss / d this, on leaves after `engine.backward`. Owned by this tensor. */
  grad: Tensor | undefined;
  /** Which op made it, for the tape. */
  edge: Edge | undefined;
  #handle: Handle | undefined;
  #dtype: StorageType | undefined;

  constructor(engine: Engine, handle: Handle, shape: Shape) {
    this.engine = engine;
    this.#handle = handle;
    this.shape = shape;
  }

  /** @throws {TensorError} TENSOR_DISPOSED */
  get handle(): Handle {
    if (this.#handle === undefined) {
      throw new TensorError("TENSOR_DISPOSED", `a [${this.shape.join(", ")}] tensor was used after its scope ended`);
    }
    return this.#handle;
  }

  get slot(): Slot {
    return this.handle.slot;
  }

  /** Of most tensors nobody asks for it, so the backend is asked where somebody does. */
  get dtype(): StorageType {
    this.#dtype ??= this.engine.backend.dtype(this.slot);
    return this.#dtype;
  }

  get disposed(): boolean {
    return this.#handle === undefined;
  }

  /** Number of elements. */
  get size(): number {
    return this.shape.reduce((product, extent) => product * extent, 1);
  }

  /** A copy of the numbers; bf16 and f16 arrive as their 16-bit patterns, a codec as its bytes. The only way out of the backend. */
  async read(): Promise<TensorData> {
    return typed(this.dtype, await this.engine.backend.read(this.slot));
  }

  /** The single element of a [1] tensor. */
  async item(): Promise<number> {
    if (this.size !== 1)
      throw new TensorError("SHAPE_MISMATCH", `item: wanted one element, got [${this.shape.join(", ")}]`);
    return (await this.read())[0] ?? Number.NaN;
  }

  /** Lets go of the memory now. Harmless when repeated. */
  dispose(): void {
    this.grad?.dispose();
    this.grad = undefined;
    this.#handle?.release();
    this.#handle = undefined;
    this.edge = undefined;
  }
}

function typed(dtype: StorageType, bytes: Uint8Array): TensorData {
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  if (isCodec(dtype)) return aligned;
  const { buffer, byteOffset, byteLength } = aligned;
  switch (dtype) {
    case "f32":
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    case "f64":
      return new Float64Array(buffer, byteOffset, byteLength / 8);
    case "i32":
      return new Int32Array(buffer, byteOffset, byteLength / 4);
    case "bf16":
    case "f16":
      return new Uint16Array(buffer, byteOffset, byteLength / 2);
    case "i8":
      return new Int8Array(buffer, byteOffset, byteLength);
    case "u8":
      return aligned;
    default:
      return dtype satisfies never;
  }
}
