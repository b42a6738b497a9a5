// Weights in bitsandbytes' codes, as the tensors and the quantization_config that transformers 5.18 saves.
import { writeJson } from "@welltempered/formats";
import type { BitsandbytesCodec, FourBitCodec, KernelBackend, LlmInt8Codec, Slot } from "@welltempered/kernels";
import type { TensorToWrite } from "./safetensors-parts.ts";

/** Scales a block of double quantisation. */
const nested = 256;

export interface CodedWeight {
  /** "….weight" */
  name: string;
  codec: BitsandbytesCodec;
  slot: Slot;
  shape: readonly [rows: number, columns: number];
}

/** @param dtype that of the weights beside them, as torch names it */
export type CodedWriter = (weight: CodedWeight, dtype: string) => Promise<TensorToWrite[]>;

/** What turns a weight in a codec into the tensors of a file. Codes are read when their turn comes. */
export async function bitsandbytesWriter(backend: KernelBackend): Promise<CodedWriter> {
  const tables = await codeTables(backend);
  return (weight, dtype) =>
    isLlmInt8(weight.codec) ? int8Tensors(backend, weight) : fourBitTensors(backend, weight, dtype, tables);
}

const isLlmInt8 = (codec: string): codec is LlmInt8Codec => codec.startsWith("llm_int8/");

async function int8Tensors(backend: KernelBackend, { name, slot, shape }: CodedWeight): Promise<TensorToWrite[]> {
  const [rows, columns] = shape;
  const layer = name.replace(/weight$/, "");
  const bytes = async (): Promise<Uint8Array> => backend.read(slot);
  return [
    { name, dtype: "I8", shape, bytes: async () => (await bytes()).subarray(0, rows * columns) },
    { name: `${layer}SCB`, dtype: "F32", shape: [rows], bytes: async () => (await bytes()).subarray(rows * columns) },
    { name: `${layer}weight_format`, dtype: "U8", shape: [], bytes: Uint8Array.of(0) },
  ];
}

interface Parts {
  table: "nf4" | "fp4";
  block: number;
  double: boolean;
  blocks: number;
}

function partsOf(codec: FourBitCodec, elements: number): Parts {
  const [table, size, double] = codec.split("/") as ["nf4" | "fp4", string, string?];
  const block = Number(size);
  return { table, block, double: double !== undefined, blocks: Math.ceil(elements / block) };
}

async function fourBitTensors(
  backend: KernelBackend,
  { name, codec, slot, shape }: CodedWeight,
  dtype: string,
  tables: CodeTables,
): Promise<TensorToWrite[]> {
  const elements = shape[0] * shape[1];
  const codes = Math.ceil(elements / 2);
  const { table, block, double, blocks } = partsOf(codec as FourBitCodec, elements);
  const state = { quant_type: table, blocksize: block, dtype, shape };
  const tensors: TensorToWrite[] = [
    { name, dtype: "U8", shape: [codes, 1], bytes: async () => (await backend.read(slot)).subarray(0, codes) },
    { name: `${name}.quant_map`, dtype: "F32", shape: [16], bytes: tables[table] },
  ];
  if (!double) {
    const bytes = async (): Promise<Uint8Array> => (await backend.read(slot)).subarray(codes);
    const absmax = { name: `${name}.absmax`, dtype: "F32", shape: [blocks], bytes } as const;
    return [...tensors, absmax, stateTensor(name, table, state)];
  }
  // Scales are about a thirty-second of the codes and are kept, as the size of what is said about them depends on their mean.
  const scales = (await backend.read(slot)).slice(codes);
  const groups = Math.ceil(blocks / nested);
  const offset = new DataView(scales.buffer, scales.byteOffset).getFloat32(blocks + 4 * groups, true);
  const more = { nested_blocksize: nested, nested_dtype: "float32", nested_offset: offset };
  return [
    ...tensors,
    { name: `${name}.absmax`, dtype: "U8", shape: [blocks], bytes: scales.subarray(0, blocks) },
    {
      name: `${name}.nested_absmax`,
      dtype: "F32",
      shape: [groups],
      bytes: scales.subarray(blocks, blocks + 4 * groups),
    },
    { name: `${name}.nested_quant_map`, dtype: "F32", shape: [256], bytes: tables.dynamic },
    stateTensor(name, table, { ...state, ...more }),
  ];
}

/** A JSON text as bytes, which bitsandbytes looks for by this name. */
function stateTensor(name: string, table: string, state: object): TensorToWrite {
  const bytes = Buffer.from(writeJson(state, { python: true, floatKeys: new Set(["nested_offset"]) }));
  return { name: `${name}.quant_state.bitsandbytes__${table}`, dtype: "U8", shape: [bytes.length], bytes };
}

/** Values of the codes as f32; files carry them. */
interface CodeTables {
  nf4: Uint8Array;
  fp4: Uint8Array;
  dynamic: Uint8Array;
}

/** The kernels' own tables: what one weight of each code expands to, with a scale of one. */
async function codeTables(backend: KernelBackend): Promise<CodeTables> {
  const one = new Uint8Array(Float32Array.of(1).buffer);
  const expanded = async (codec: FourBitCodec, weights: number, bytes: Uint8Array): Promise<Uint8Array> => {
    const coded = backend.upload(codec, [1, weights], bytes);
    const plain = backend.cast(coded, "f32");
    try {
      return await backend.read(plain);
    } finally {
      backend.free(coded);
      backend.free(plain);
    }
  };
  const codes = Uint8Array.from({ length: 8 }, (_, i) => 32 * i + 2 * i + 1);
  const [nf4, fp4] = [await expanded("nf4/32", 16, join(codes, one)), await expanded("fp4/32", 16, join(codes, one))];
  // Blocks of 32 ones (code 15 of nf4), the scale of block i in code i; its scale is one, their mean zero.
  const scales = Uint8Array.from({ length: 256 }, (_, i) => i);
  const blocks = join(new Uint8Array(256 * 16).fill(255), scales, one, new Uint8Array(4));
  const ones = await expanded("nf4/32/double", 256 * 32, blocks);
  return { nf4, fp4, dynamic: Buffer.concat(Array.from(scales, (i) => ones.subarray(128 * i, 128 * i + 4))) };
}

const join = (...parts: Uint8Array[]): Uint8Array => Buffer.concat(parts);

/** `quantization_config` of config.json. @param dtype in which 4-bit weights are to be multiplied */
export function quantizationConfig(codec: BitsandbytesCodec, dtype: string): Record<string, unknown> {
  const eight = isLlmInt8(codec);
  const [table, , double] = codec.split("/");
  return {
    _load_in_4bit: !eight,
    _load_in_8bit: eight,
    bnb_4bit_compute_dtype: eight ? "float32" : dtype,
    bnb_4bit_quant_storage: "uint8",
    bnb_4bit_quant_type: eight ? "fp4" : table,
    bnb_4bit_use_double_quant: double === "double",
    llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false,
    llm_int8_skip_modules: null,
    llm_int8_threshold: eight ? Number(codec.slice("llm_int8/".length)) : 6,
    load_in_4bit: !eight,
    load_in_8bit: eight,
    quant_method: "bitsandbytes",
  };
}
