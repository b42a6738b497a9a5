// llama.cpp's tests/test-gguf.cpp: what it rejects, and the overflows of its history (CVE-2024-23605, CVE-2025-53630, …).
import type { BadInput } from "./case.ts";

const uint32 = 4;
const text = 8;
const array = 9;

/** Bytes in GGUF's order: little-endian, strings with a 64-bit length. */
class Bytes {
  readonly parts: Buffer[] = [];

  u32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    this.parts.push(part);
    return this;
  }

  u64(value: bigint | number): this {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    this.parts.push(part);
    return this;
  }

  raw(value: string): this {
    this.parts.push(Buffer.from(value));
    return this;
  }

  string(value: string): this {
    return this.u64(Buffer.byteLength(value)).raw(value);
  }

  end(): Buffer {
    return Buffer.concat(this.parts);
  }
}

interface File {
  magic: string;
  version: number;
  tensors: bigint | number;
  values: bigint | number;
  body: (bytes: Bytes) => void;
  data: number;
}

const good: File = { magic: "GGUF", version: 3, tensors: 0, values: 1, body: architecture, data: 0 };

function architecture(bytes: Bytes): void {
  bytes.string("general.architecture").u32(text).string("llama");
}

function file(changes: Partial<File>): Buffer {
  const { magic, version, tensors, values, body, data } = { ...good, ...changes };
  const bytes = new Bytes().raw(magic).u32(version).u64(tensors).u64(values);
  body(bytes);
  const head = bytes.end();
  const padding = data > 0 ? Buffer.alloc((32 - (head.length % 32)) % 32) : Buffer.alloc(0);
  return Buffer.concat([head, padding, Buffer.alloc(data)]);
}

/** One key-value after the architecture. */
function value(write: (bytes: Bytes) => void): Buffer {
  return file({ values: 2, body: (bytes) => (architecture(bytes), write(bytes)) });
}

interface TensorFields {
  name: string;
  dimensions: (bigint | number)[];
  type: number;
  offset: bigint | number;
}

const goodTensor: TensorFields = { name: "token_embd.weight", dimensions: [32, 2], type: 0, offset: 0 };

function tensor(changes: Partial<TensorFields>, data = 256, count = 1): Buffer {
  const { name, dimensions, type, offset } = { ...goodTensor, ...changes };
  const body = (bytes: Bytes): void => {
    architecture(bytes);
    for (let i = 0; i < count; i++) {
      bytes.string(name).u32(dimensions.length);
      for (const dimension of dimensions) bytes.u64(dimension);
      bytes.u32(type).u64(offset);
    }
  };
  return file({ tensors: count, body, data });
}

function alignment(type: number, number: number): Buffer {
  return value((bytes) => void bytes.string("general.alignment").u32(type).u32(number));
}

const most = 2n ** 64n - 1n;

type Rejected = readonly (readonly [what: string, bytes: () => Buffer])[];

/** What llama.cpp's test rejects; the files it accepts, which hold no model, are read in packages/formats. */
const upstream: Rejected = [
  ["empty", () => Buffer.alloc(0)],
  ["wrong magic", () => file({ magic: "GGML" })],
  ["version 0", () => file({ version: 0 })],
  ["version 1", () => file({ version: 1 })],
  ["a version of the future", () => file({ version: 4 })],
  ["too many tensors for the file", () => file({ tensors: 1000 })],
  ["too many values for the file", () => file({ values: 1000 })],
  ["a key longer than the file", () => value((b) => void b.u64(1_000_000).raw("x"))],
  ["an empty key", () => value((b) => void b.string("").u32(uint32).u32(1))],
  ["an unknown value type", () => value((b) => void b.string("a").u32(99).u32(1))],
  ["a key given twice", () => value(architecture)],
  ["alignment 13", () => alignment(uint32, 13)],
  ["alignment of a wrong type", () => alignment(5, 32)],
  [
    "a tensor name longer than the file",
    () =>
      file({
        tensors: 1,
        body: (b) => {
          architecture(b);
          b.u64(1 << 30).raw("x");
        },
      }),
  ],
  ["a tensor of 9 dimensions", () => tensor({ dimensions: [1, 1, 1, 1, 1, 1, 1, 1, 1] })],
  ["an unknown tensor type", () => tensor({ type: 9999 })],
  ["a removed tensor type", () => tensor({ type: 4 })],
  ["an offset that is not aligned", () => tensor({ offset: 7 })],
  ["an offset past the end", () => tensor({ offset: 1 << 20 })],
  ["a tensor given twice", () => tensor({}, 512, 2)],
  ["data shorter than the tensors", () => tensor({}, 32)],
];

/** Counts, lengths and sizes that no file can hold. */
const overflows: Rejected = [
  ["2^64-1 tensors", () => file({ tensors: most })],
  ["2^64-1 values", () => file({ values: most })],
  ["a key of 2^64-1 bytes", () => value((b) => void b.u64(most).raw("x"))],
  ["a text of 2^64-1 bytes", () => value((b) => void b.string("a").u32(text).u64(most))],
  ["an array of 2^64-1 items", () => value((b) => void b.string("a").u32(array).u32(uint32).u64(most))],
  [
    "arrays in arrays without end",
    () =>
      value((b) => {
        b.string("a");
        for (let i = 0; i < 50; i++) b.u32(array).u32(array).u64(1);
      }),
  ],
  ["alignment 0", () => alignment(uint32, 0)],
  ["alignment 2^31", () => alignment(uint32, 2 ** 31)],
  ["a dimension of 0", () => tensor({ dimensions: [0, 2] }, 0)],
  ["a dimension of 2^63-3", () => tensor({ dimensions: [2n ** 63n - 3n] })],
  ["dimensions whose product wraps", () => tensor({ dimensions: [4_194_305, 4_194_305, 211_106_198_978_564n] })],
  ["a byte count that wraps", () => tensor({ dimensions: [2n ** 62n] })],
  ["a quantised row that is no whole number of blocks", () => tensor({ dimensions: [33, 2], type: 8 })],
  ["a quantised size that wraps", () => tensor({ dimensions: [2n ** 61n, 16], type: 2 })],
  ["an offset of 2^64-32", () => tensor({ offset: 2n ** 64n - 32n })],
];

const refused = (id: string, table: Rejected): BadInput[] =>
  table.map(([what, bytes]) => ({
    id,
    what: `GGUF: ${what}`,
    args: ["train", "run.yaml", "model_name_or_path=bad.gguf"],
    says: /bad\.gguf/,
    spoil: (box) => box.write("bad.gguf", bytes()),
  }));

export const ggufCases: readonly BadInput[] = [...refused("C1", upstream), ...refused("C2", overflows)];
