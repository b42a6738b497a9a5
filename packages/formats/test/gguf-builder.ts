// Writes GGUF files field by field, so that every field can be wrong.

export const ids = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

export class Bytes {
  private readonly parts: Uint8Array[] = [];
  length = 0;

  raw(bytes: Uint8Array | readonly number[]): this {
    const part = Uint8Array.from(bytes);
    this.parts.push(part);
    this.length += part.length;
    return this;
  }
  number(size: number, set: (view: DataView) => void): this {
    const view = new DataView(new ArrayBuffer(size));
    set(view);
    return this.raw(new Uint8Array(view.buffer));
  }
  u32(value: number): this {
    return this.number(4, (view) => view.setUint32(0, value, true));
  }
  u64(value: bigint | number): this {
    return this.number(8, (view) => view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true));
  }
  f32(value: number): this {
    return this.number(4, (view) => view.setFloat32(0, value, true));
  }
  string(text: string, length?: bigint): this {
    const bytes = new TextEncoder().encode(text);
    return this.u64(length ?? bytes.length).raw(bytes);
  }
  pad(alignment: number): this {
    return this.raw(new Uint8Array((alignment - (this.length % alignment)) % alignment));
  }
  done(): Uint8Array {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

export type Field = (b: Bytes) => unknown;
export const u32Field =
  (key: string, value: number): Field =>
  (b) =>
    b.string(key).u32(ids.u32).u32(value);
export const f32Field =
  (key: string, value: number): Field =>
  (b) =>
    b.string(key).u32(ids.f32).f32(value);
export const stringField =
  (key: string, value: string): Field =>
  (b) =>
    b.string(key).u32(ids.string).string(value);
export const stringsField =
  (key: string, values: readonly string[]): Field =>
  (b) => {
    b.string(key).u32(ids.array).u32(ids.string).u64(values.length);
    for (const value of values) b.string(value);
  };
export const i32sField =
  (key: string, values: readonly number[]): Field =>
  (b) => {
    b.string(key).u32(ids.array).u32(ids.i32).u64(values.length);
    for (const value of values) b.u32(value);
  };

export interface TensorRow {
  name: string;
  /** Innermost first, as the file holds it. */
  shape: readonly (bigint | number)[];
  type: number;
  bytes?: Uint8Array;
  offset?: bigint | number;
  rank?: number;
}

export interface Spec {
  magic?: string;
  version?: number;
  numTensors?: bigint;
  numKeys?: bigint;
  fields?: readonly Field[];
  tensors?: readonly TensorRow[];
  /** Of the padding and offsets; a general.alignment field must be given too where it is not 32. */
  alignment?: number;
  /** Data bytes to leave out at the end. */
  cut?: number;
  noData?: boolean;
}

export function buildGguf({
  magic = "GGUF",
  version = 3,
  fields = [],
  tensors = [],
  alignment = 32,
  ...spec
}: Spec): Uint8Array {
  const b = new Bytes().raw(new TextEncoder().encode(magic)).u32(version);
  b.u64(spec.numTensors ?? tensors.length).u64(spec.numKeys ?? fields.length);
  for (const field of fields) field(b);
  const data = new Bytes();
  for (const { name, shape, type, bytes = new Uint8Array(), offset, rank } of tensors) {
    b.string(name).u32(rank ?? shape.length);
    for (const size of shape) b.u64(size);
    b.u32(type).u64(offset ?? data.length);
    data.raw(bytes).pad(alignment);
  }
  if (spec.noData) return b.pad(alignment).done();
  const all = b.pad(alignment).raw(data.done()).done();
  return all.subarray(0, all.length - (spec.cut ?? 0));
}
