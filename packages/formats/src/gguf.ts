// GGUF header, metadata and tensor table (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3.
// Verdicts are those of llama.cpp's tests/test-gguf.cpp; limits bound what a hostile file can make us allocate.
// Every size goes through checkedSize(): wrapping products were the format's recurring hole.
import type { ByteSource } from "./bytes.ts";
import { FormatsError } from "./errors.ts";
import { type GgmlType, ggmlTypes } from "./ggml-types.ts";
import {
  type Cursor,
  ggufError,
  type GgufScalarType,
  readCount,
  readString,
  readU32,
  readU64,
  scalarTypes,
  startCursor,
} from "./gguf-cursor.ts";
import { printable } from "./printable.ts";

export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

export interface GgufField {
  type: GgufScalarType | "string" | "array";
  /** Type of the items of an array. */
  itemType?: GgufScalarType | "string" | "array";
  /** 64-bit integers beyond 2^53 are bigint. */
  value: GgufValue;
}

export interface GgufTensor {
  name: string;
  type: GgmlType;
  /** Outermost dimension first, as torch writes shapes (the file holds the reverse). */
  shape: number[];
  /** Byte range, counted from the start of the file. */
  begin: number;
  end: number;
}

export interface GgufHeader {
  version: number;
  metadata: Map<string, GgufField>;
  tensors: Map<string, GgufTensor>;
  alignment: number;
  dataStart: number;
}

const limits = {
  keys: 100_000,
  tensors: 10_000_000,
  string: 10_000_000,
  array: 1_000_000,
  arrayDepth: 4,
  // GGML_MAX_DIMS and GGML_MAX_NAME of ggml.h
  dimensions: 4,
  nameBytes: 63,
  dimension: 2n ** 32n,
  alignment: 1 << 20,
};

export interface GgufOptions {
  /** False: the tensor data may be missing, as in a file cut after its header. */
  dataRequired?: boolean;
}

/** Header of a GGUF file; throws a one-line UserError that names the byte. */
export function parseGguf(source: ByteSource, file: string, options: GgufOptions = {}): GgufHeader {
  const c = startCursor(source, file);
  const version = readStart(c);
  const numTensors = readCount(c, "tensor count", limits.tensors, 24);
  const numKeys = readCount(c, "metadata count", limits.keys, 13);
  const metadata = readMetadata(c, numKeys);
  const alignment = readAlignment(c, metadata);
  const tensors = new Map<string, GgufTensor>();
  let size = 0;
  for (let i = 0; i < numTensors; i++) size = readTensor(c, tensors, size, alignment);
  const dataStart = pad(c.at, alignment);
  for (const tensor of tensors.values()) {
    tensor.begin += dataStart;
    tensor.end += dataStart;
  }
  if (options.dataRequired !== false) checkData(c, tensors, dataStart, size);
  return { version, metadata, tensors, alignment, dataStart };
}

function readStart(c: Cursor): number {
  const magic = readU32(c);
  if (magic !== 0x46554747) throw at(c, 4, "does not start with GGUF", "check that it is a GGUF file");
  const version = readU32(c);
  if (version === 2 || version === 3) return version;
  const what = (version & 0xffff) === 0 && version !== 0 ? "is a big-endian file" : `has GGUF version ${version}`;
  throw at(c, 4, `${what}; versions 2 and 3 are read`, "convert the model again");
}

function at(c: Cursor, back: number, what: string, hint?: string): FormatsError {
  c.at -= back;
  return ggufError(c, "GGUF_HEADER", what, hint);
}

function readMetadata(c: Cursor, count: number): Map<string, GgufField> {
  const metadata = new Map<string, GgufField>();
  for (let i = 0; i < count; i++) {
    const key = readString(c, "metadata key", 65_535);
    if (key === "") throw ggufError(c, "GGUF_METADATA", "empty metadata key");
    if (metadata.has(key)) throw ggufError(c, "GGUF_METADATA", `metadata key "${printable(key)}" occurs twice`);
    metadata.set(key, readField(c, key));
  }
  return metadata;
}

function readField(c: Cursor, key: string): GgufField {
  const id = readU32(c);
  if (id === 9) return { type: "array", ...readArray(c, key, 1) };
  const { name, read } = valueType(c, id, key);
  return { type: name, value: read(c) };
}

interface ValueType {
  name: GgufScalarType | "string";
  /** Fewest bytes a value takes. */
  bytes: number;
  read(c: Cursor): GgufValue;
}

const stringType: ValueType = { name: "string", bytes: 8, read: (c) => readString(c, "string", limits.string) };

function valueType(c: Cursor, id: number, key: string): ValueType {
  const type = id === 8 ? stringType : scalarTypes.get(id);
  if (!type) throw ggufError(c, "GGUF_METADATA", `metadata key "${printable(key)}" has the unknown type ${id}`);
  return type;
}

function readArray(
  c: Cursor,
  key: string,
  depth: number,
): { itemType: GgufScalarType | "string" | "array"; value: GgufValue[] } {
  if (depth > limits.arrayDepth)
    throw ggufError(
      c,
      "GGUF_METADATA",
      `metadata key "${printable(key)}" nests arrays deeper than ${limits.arrayDepth}`,
    );
  const id = readU32(c);
  if (id === 9) {
    const count = readCount(c, "array length", limits.array, 12);
    return { itemType: "array", value: Array.from({ length: count }, () => readArray(c, key, depth + 1).value) };
  }
  const { name, bytes, read } = valueType(c, id, key);
  const count = readCount(c, "array length", limits.array, bytes);
  return { itemType: name, value: Array.from({ length: count }, () => read(c)) };
}

function readAlignment(c: Cursor, metadata: ReadonlyMap<string, GgufField>): number {
  const field = metadata.get("general.alignment");
  if (!field) return 32;
  const value = field.value;
  const isPowerOfTwo =
    field.type === "u32" && typeof value === "number" && value > 0 && Number.isInteger(Math.log2(value));
  if (!isPowerOfTwo || value > limits.alignment)
    throw ggufError(
      c,
      "GGUF_METADATA",
      `general.alignment is ${field.type} ${printable(String(value), 24)}, not a u32 power of two up to ${limits.alignment}`,
    );
  return value;
}

/** Reads one row of the tensor table; `expected` is where its data must begin, the result where the next must. */
function readTensor(c: Cursor, tensors: Map<string, GgufTensor>, expected: number, alignment: number): number {
  const name = readString(c, "tensor name", limits.nameBytes);
  const where = `tensor "${printable(name)}"`;
  if (tensors.has(name)) throw ggufError(c, "GGUF_TENSOR", `${where} occurs twice`);
  const shape = readShape(c, where);
  const id = readU32(c);
  const type = ggmlTypes.get(id);
  if (!type) throw ggufError(c, "GGUF_TENSOR", `${where} has the unknown type ${id}`);
  const size = checkedSize(c, where, type, shape, expected, alignment);
  const offset = readU64(c);
  if (offset !== BigInt(expected))
    throw ggufError(c, "GGUF_TENSOR", `${where} has its data at ${offset}, expected ${expected}`);
  tensors.set(name, { name, type, shape: shape.map(Number).reverse(), begin: expected, end: expected + size });
  return pad(expected + size, alignment);
}

function readShape(c: Cursor, where: string): bigint[] {
  const rank = readU32(c);
  if (rank > limits.dimensions)
    throw ggufError(c, "GGUF_TENSOR", `${where} has ${rank} dimensions, more than ${limits.dimensions}`);
  const shape = Array.from({ length: rank }, () => readU64(c));
  const tooLarge = shape.find((size) => size > limits.dimension);
  if (tooLarge !== undefined)
    throw ggufError(c, "GGUF_TENSOR", `${where} has a dimension of ${tooLarge}, more than 2^32`);
  return shape;
}

/** Bytes of a tensor of this shape (innermost first), exact, and such that `start` + bytes + padding stays below 2^53. */
function checkedSize(
  c: Cursor,
  where: string,
  type: GgmlType,
  shape: readonly bigint[],
  start: number,
  alignment: number,
): number {
  const row = shape[0] ?? 1n;
  if (row % BigInt(type.block) !== 0n)
    throw ggufError(
      c,
      "GGUF_TENSOR",
      `${where} has rows of ${row} elements, no multiple of the ${type.block} of a ${type.name} block`,
    );
  const elements = shape.reduce((product, size) => product * size, 1n);
  const bytes = (elements / BigInt(type.block)) * BigInt(type.bytes);
  if (BigInt(start) + bytes + BigInt(alignment) > BigInt(Number.MAX_SAFE_INTEGER))
    throw ggufError(c, "GGUF_TENSOR", `the size of ${where} overflows`);
  return Number(bytes);
}

function pad(size: number, alignment: number): number {
  return Math.ceil(size / alignment) * alignment;
}

function checkData(c: Cursor, tensors: ReadonlyMap<string, GgufTensor>, dataStart: number, size: number): void {
  if (dataStart + size <= c.source.size || size === 0) return;
  const cut = [...tensors.values()].find((tensor) => tensor.end > c.source.size);
  const what = cut ? `tensor "${printable(cut.name)}" ends` : "the padding of the last tensor ends";
  throw new FormatsError(
    "GGUF_DATA",
    c.file,
    `${what} at byte ${cut?.end ?? dataStart + size} of a file of ${c.source.size}`,
    "the file is cut short: fetch it again",
  );
}
