// A few lines of safetensors, apart from the product's own reader and writer.
export interface Tensor {
  dtype: string;
  shape: number[];
  bytes: Uint8Array;
}
export type Tensors = Map<string, Tensor>;

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Reads a file that is known to be good. */
export function readTensors(file: Buffer): Tensors {
  const end = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, end).toString()) as Record<string, Entry>;
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return new Map(
    entries.map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => [name, { dtype, shape, bytes: file.subarray(end + from, end + to) }],
    ),
  );
}

/** Writes tensors in their order. */
export function safetensors(tensors: Tensors): Buffer {
  let offset = 0;
  const entries = [...tensors].map(([name, { dtype, shape, bytes }]) => {
    const range = [offset, (offset += bytes.length)];
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: range })}`;
  });
  const text = `{${entries.join(",")}}`;
  const header = Buffer.from(text.padEnd(Math.ceil(Buffer.byteLength(text) / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, ...[...tensors.values()].map(({ bytes }) => bytes)]);
}
