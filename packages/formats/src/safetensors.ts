// The safetensors header: parse and write (https://github.com/huggingface/safetensors, "Format").
// Verdicts are those of the reference crate 0.8.0, but stricter where it accepts what its own text forbids: duplicate
// keys, spaces before the header, rank over 16, dimensions over 2^53, more than a million tensors.
// Names are data: Map keys, never paths.
import { FormatsError, type FormatsErrorCode } from "./errors.ts";
import { decodeUtf8, parseTree } from "./json.ts";
import { writeJson } from "./json-write.ts";
import { printable } from "./printable.ts";

/** Bits an element; the order is that of the reference crate, which sorts tensors by it. */
const dtypeBits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type SafetensorsDtype = keyof typeof dtypeBits;

const dtypeRank = new Map(Object.keys(dtypeBits).map((name, index) => [name, index]));

export interface SafetensorsEntry {
  dtype: SafetensorsDtype;
  shape: number[];
  /** Byte range, counted from the start of the file. */
  begin: number;
  end: number;
}

export interface SafetensorsHeader {
  /** In the order of the file's header. */
  tensors: Map<string, SafetensorsEntry>;
  metadata: Map<string, string>;
  /** Offset of the first data byte. */
  dataStart: number;
}

const maxHeader = 100_000_000;
const maxRank = 16;
/** The largest models have some hundred thousand. */
const maxTensors = 1_000_000;
const redo = "write the file again, or fetch it again";

/** Length of the JSON header from the first 8 bytes of a file of `fileSize` bytes, checked against both limits. */
export function safetensorsHeaderLength(start: Uint8Array, fileSize: number, file: string): number {
  if (fileSize < 8 || start.length < 8)
    throw bad("HEADER_TOO_SMALL", file, `${fileSize} bytes, too small for a safetensors header`);
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(maxHeader))
    throw bad(
      "HEADER_TOO_LARGE",
      file,
      `claims a header of ${length} bytes, more than ${maxHeader}`,
      "check that it is a safetensors file",
    );
  if (Number(length) + 8 > fileSize)
    throw bad("INVALID_HEADER_LENGTH", file, `claims a header of ${length} bytes in a file of ${fileSize}`);
  return Number(length);
}

/** Header of a file of `fileSize` bytes from its first 8 + header length bytes. */
export function parseSafetensorsHeader(start: Uint8Array, fileSize: number, file: string): SafetensorsHeader {
  const length = safetensorsHeaderLength(start, fileSize, file);
  const dataStart = 8 + length;
  const { tensors, metadata } = headerJson(start.subarray(8, dataStart), file);
  checkRanges(tensors, fileSize - dataStart, file);
  for (const entry of tensors.values()) {
    entry.begin += dataStart;
    entry.end += dataStart;
  }
  return { tensors, metadata, dataStart };
}

function bad(code: FormatsErrorCode, file: string, what: string, hint = redo): FormatsError {
  return new FormatsError(code, file, what, hint);
}

// The reference counts the header object as the first of 127 levels. Entries are checked as they are read, so that a
// header of many tensors is refused at the first one too many.
function headerJson(bytes: Uint8Array, file: string): Omit<SafetensorsHeader, "dataStart"> {
  let metadata = new Map<string, string>();
  let count = 0;
  const replace = (name: string, value: unknown): SafetensorsEntry | undefined => {
    if (++count > maxTensors) throw bad("STRICTER_THAN_REFERENCE", file, `describes more than ${maxTensors} tensors`);
    if (name !== "__metadata__") return readEntry(name, value, file);
    metadata = readMetadata(value, file);
    return undefined;
  };
  try {
    const text = decodeUtf8(bytes, file);
    if (!text.startsWith("{")) throw bad("INVALID_HEADER", file, "the header does not start with {");
    const options = { file, maxDepth: 127, maps: true, markFloats: true, strictSurrogates: true, replace };
    const tensors = parseTree(text, options) as Map<string, SafetensorsEntry>;
    tensors.delete("__metadata__");
    return { tensors, metadata };
  } catch (error) {
    if (error instanceof FormatsError && error.code === "JSON")
      throw new FormatsError("INVALID_HEADER", file, `bad header (${jsonReason(error)})`, redo);
    throw error;
  }
}

function jsonReason(error: FormatsError): string {
  return error.message.slice(0, error.message.lastIndexOf(";"));
}

function readMetadata(value: unknown, file: string): Map<string, string> {
  if (!(value instanceof Map)) throw bad("INVALID_HEADER", file, "__metadata__ is not an object");
  for (const [key, text] of value) {
    if (typeof text !== "string")
      throw bad("INVALID_HEADER", file, `__metadata__ "${printable(String(key))}" is not a string`);
  }
  return value as Map<string, string>;
}

function readEntry(name: string, value: unknown, file: string): SafetensorsEntry {
  if (!(value instanceof Map)) throw badTensor("INVALID_HEADER", file, name, "is not described by an object");
  const dtype: unknown = value.get("dtype");
  if (typeof dtype !== "string" || !isDtype(dtype))
    throw badTensor("INVALID_HEADER", file, name, `has the unknown dtype ${printable(String(dtype), 24)}`);
  const shape = readIntegers(value.get("shape"), file, name, "shape");
  const offsets = readIntegers(value.get("data_offsets"), file, name, "data_offsets");
  if (offsets.length !== 2) throw badTensor("INVALID_HEADER", file, name, "needs two data_offsets");
  const [begin = 0, end = 0] = offsets;
  const fault = findFault(dtype, shape, begin, end);
  if (fault) throw badTensor(fault[0], file, name, fault[1]);
  return { dtype, shape: shape.map(Number), begin: Number(begin), end: Number(end) };
}

function badTensor(code: FormatsErrorCode, file: string, name: string, what: string): FormatsError {
  return bad(code, `${file}: tensor "${printable(name)}"`, what);
}

function isDtype(name: string): name is SafetensorsDtype {
  return dtypeRank.has(name);
}

/** number up to 2^53, else bigint. */
type Whole = number | bigint;

const maxU64 = 2n ** 64n - 1n;
const maxSafe = 2n ** 53n;

function readIntegers(value: unknown, file: string, name: string, key: string): Whole[] {
  if (Array.isArray(value) && value.every(isU64)) return value;
  throw badTensor("INVALID_HEADER", file, name, `${key} is not a list of whole numbers`);
}

function isU64(item: unknown): item is Whole {
  return typeof item === "number" ? item >= 0 : typeof item === "bigint" && item >= 0n && item <= maxU64;
}

type Fault = [code: FormatsErrorCode, what: string];

function findFault(dtype: SafetensorsDtype, shape: readonly Whole[], begin: Whole, end: Whole): Fault | undefined {
  if (begin > end) return ["INVALID_OFFSET", `begins at ${begin}, after its end ${end}`];
  const bits = bitSize(dtype, shape);
  if (bits === undefined)
    return ["VALIDATION_OVERFLOW", `the size of shape [${shape.slice(0, 8).join(", ")}] overflows`];
  if (bits % 8n !== 0n) return ["MISALIGNED_SLICE", "does not end at a whole byte"];
  const given = BigInt(end) - BigInt(begin);
  if (bits / 8n !== given)
    return [
      "TENSOR_INVALID_INFO",
      `shape [${shape.slice(0, 8).join(", ")}] of ${dtype} takes ${bits / 8n} bytes, the offsets give ${given}`,
    ];
  if (shape.length > maxRank)
    return ["STRICTER_THAN_REFERENCE", `has ${shape.length} dimensions, more than ${maxRank}`];
  if (shape.some((size) => size > maxSafe)) return ["STRICTER_THAN_REFERENCE", "has a dimension over 2^53"];
  return end > maxSafe ? ["METADATA_INCOMPLETE_BUFFER", `ends at byte ${end}, after the end of the file`] : undefined;
}

/** Product of the dimensions and the bits an element, in the reference's order: an overflow counts even before a zero. */
function bitSize(dtype: SafetensorsDtype, shape: readonly Whole[]): bigint | undefined {
  let product = 1n;
  for (const factor of shape) {
    product *= BigInt(factor);
    if (product > maxU64) return undefined;
  }
  product *= BigInt(dtypeBits[dtype]);
  return product > maxU64 ? undefined : product;
}

/** Ranges must follow one another without hole or overlap from the first data byte to the last of the file. */
function checkRanges(tensors: ReadonlyMap<string, SafetensorsEntry>, dataSize: number, file: string): void {
  let at = 0;
  for (const [name, { begin, end }] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== at)
      throw badTensor(
        "INVALID_OFFSET",
        file,
        name,
        `begins at data byte ${begin}, expected ${at} (${begin < at ? "overlap" : "hole"})`,
      );
    at = end;
  }
  if (at !== dataSize)
    throw bad(
      "METADATA_INCOMPLETE_BUFFER",
      file,
      `the tensors cover ${at} bytes, the file holds ${dataSize}${at > dataSize ? " (it is cut short)" : ""}`,
    );
}

/** Name, type and shape of a tensor about to be written. */
export interface SafetensorsSpec {
  name: string;
  dtype: SafetensorsDtype;
  shape: readonly number[];
}

export interface SafetensorsLayout<T extends SafetensorsSpec> {
  /** 8-byte length and JSON, padded so that the data starts at a multiple of 8. */
  header: Uint8Array;
  /** The specs in the order of their data. */
  order: T[];
  /** Data bytes after the header. */
  dataSize: number;
}

/** Header and order of the data, byte for byte as the reference crate writes them: widest dtype first, then by name. */
export function layoutSafetensors<T extends SafetensorsSpec>(
  specs: readonly T[],
  metadata: Readonly<Record<string, string>>,
): SafetensorsLayout<T> {
  const order = [...specs].sort((a, b) => rank(b) - rank(a) || compareBytes(a.name, b.name));
  const json = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) json.set("__metadata__", metadata);
  let at = 0;
  for (const spec of order) {
    if (json.has(spec.name)) throw new RangeError(`two tensors are named "${printable(spec.name)}"`);
    const end = at + safetensorsByteSize(spec.dtype, spec.shape);
    json.set(spec.name, { dtype: spec.dtype, shape: spec.shape, data_offsets: [at, end] });
    at = end;
  }
  return { header: frameHeader(writeJson(json)), order, dataSize: at };
}

/** Bytes of a tensor; throws a RangeError beyond 2^53. */
export function safetensorsByteSize(dtype: SafetensorsDtype, shape: readonly number[]): number {
  const bytes = shape.reduce((product, size) => product * size, dtypeBits[dtype] / 8);
  if (!Number.isSafeInteger(bytes))
    throw new RangeError(`shape [${shape.join(", ")}] of ${dtype} is not a whole number of bytes below 2^53`);
  return bytes;
}

function rank(spec: SafetensorsSpec): number {
  return dtypeRank.get(spec.dtype) ?? 0;
}

function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  const [left, right] = [new TextEncoder().encode(a), new TextEncoder().encode(b)];
  const at = left.findIndex((byte, index) => byte !== right[index]);
  if (at < 0) return -1;
  return (left[at] ?? 0) - (right[at] ?? -1);
}

function frameHeader(json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const padded = Math.ceil(text.length / 8) * 8;
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(text, 8);
  return header;
}
