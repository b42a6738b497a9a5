// A forward reader over a ByteSource that never reads, and never lets anyone allocate, beyond the end of the source.
import type { ByteSource } from "./bytes.ts";
import { FormatsError, type FormatsErrorCode } from "./errors.ts";

/** Position in a GGUF file and a window of its bytes. */
export interface Cursor {
  source: ByteSource;
  file: string;
  /** Offset of the next byte. */
  at: number;
  window: DataView;
  windowStart: number;
}

const windowSize = 1 << 20;
const text = new TextDecoder("utf-8");

export function startCursor(source: ByteSource, file: string): Cursor {
  return { source, file, at: 0, window: new DataView(new ArrayBuffer(0)), windowStart: 0 };
}

/** An error at the current byte. */
export function ggufError(
  c: Cursor,
  code: FormatsErrorCode,
  what: string,
  hint = "fetch or convert the file again",
): FormatsError {
  return new FormatsError(code, `${c.file}:byte ${c.at}`, what, hint);
}

export function remaining(c: Cursor): number {
  return c.source.size - c.at;
}

/** A view whose byte 0 is the next byte, at least `length` long; passes those bytes. */
function take(c: Cursor, length: number): [view: DataView, offset: number] {
  if (length > remaining(c)) throw ggufError(c, "GGUF_HEADER", "the file ends inside its header");
  const end = c.windowStart + c.window.byteLength;
  if (c.at < c.windowStart || c.at + length > end) {
    const bytes = c.source.read(c.at, Math.min(Math.max(length, windowSize), remaining(c)));
    c.window = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    c.windowStart = c.at;
  }
  const offset = c.at - c.windowStart;
  c.at += length;
  return [c.window, offset];
}

export function readU32(c: Cursor): number {
  const [view, at] = take(c, 4);
  return view.getUint32(at, true);
}

export function readU64(c: Cursor): bigint {
  const [view, at] = take(c, 8);
  return view.getBigUint64(at, true);
}

/** A u64 that counts or measures something, at most `max` and, at `unit` bytes each, no more than the file still holds. */
export function readCount(c: Cursor, what: string, max: number, unit: number): number {
  const at = c.at;
  const [view, offset] = take(c, 8);
  const fits = Math.min(max, Math.floor(remaining(c) / unit));
  // A vocabulary has a hundred thousand of them, which a BigInt each would take longer to read than their text.
  const [low, high] = [view.getUint32(offset, true), view.getUint32(offset + 4, true)];
  if (high === 0 && low <= fits) return low;
  const count = view.getBigUint64(offset, true);
  if (count <= BigInt(fits)) return Number(count);
  c.at = at;
  throw ggufError(
    c,
    "GGUF_HEADER",
    `${what} ${count} is more than ${count > BigInt(max) ? `the ${max} allowed` : "the file can hold"}`,
  );
}

/** UTF-8 with invalid bytes replaced by U+FFFD. */
export function readString(c: Cursor, what: string, max: number): string {
  const length = readCount(c, `${what} length`, max, 1);
  const [view, at] = take(c, length);
  return text.decode(new Uint8Array(view.buffer, view.byteOffset + at, length));
}

type ScalarReader = (c: Cursor) => number | bigint | boolean;

function wide(value: bigint): number | bigint {
  return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;
}

function scalar(bytes: number, get: (view: DataView, at: number) => number | bigint | boolean): [number, ScalarReader] {
  return [bytes, (c) => get(...take(c, bytes))];
}

/** Fixed-size metadata types by id: name, bytes, reader. */
export const scalarTypes: ReadonlyMap<number, { name: GgufScalarType; bytes: number; read: ScalarReader }> = new Map(
  (
    [
      [0, "u8", ...scalar(1, (v, at) => v.getUint8(at))],
      [1, "i8", ...scalar(1, (v, at) => v.getInt8(at))],
      [2, "u16", ...scalar(2, (v, at) => v.getUint16(at, true))],
      [3, "i16", ...scalar(2, (v, at) => v.getInt16(at, true))],
      [4, "u32", ...scalar(4, (v, at) => v.getUint32(at, true))],
      [5, "i32", ...scalar(4, (v, at) => v.getInt32(at, true))],
      [6, "f32", ...scalar(4, (v, at) => v.getFloat32(at, true))],
      [7, "bool", ...scalar(1, (v, at) => v.getUint8(at) !== 0)],
      [10, "u64", ...scalar(8, (v, at) => wide(v.getBigUint64(at, true)))],
      [11, "i64", ...scalar(8, (v, at) => wide(v.getBigInt64(at, true)))],
      [12, "f64", ...scalar(8, (v, at) => v.getFloat64(at, true))],
    ] as [number, GgufScalarType, number, ScalarReader][]
  ).map(([id, name, bytes, read]) => [id, { name, bytes, read }]),
);

export type GgufScalarType = "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "f32" | "bool" | "u64" | "i64" | "f64";
