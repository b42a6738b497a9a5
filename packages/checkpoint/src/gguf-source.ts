// A GGUF file of the llama architecture as if it were a Hugging Face folder: config, names and row order of transformers.
import {
  type GgufHeader,
  type GgufTensor,
  type GgufTokenizer,
  type JsonObject,
  llamaConfig,
  llamaTensorName,
  parseGguf,
  permutedHeads,
  readGgufTokenizer,
  printable,
  unpermuteRows,
  UserError,
} from "@welltempered/formats";
import { type InputFile, shownPath } from "./input.ts";
import { openInput } from "./io.ts";
import { blockCodecs, plainDtypes } from "./load-tensor.ts";
import { bytesAt, type Located, type WeightSource, weightSource } from "./weight-source.ts";

export interface GgufModel {
  path: string;
  /** As transformers' LlamaConfig. */
  config: JsonObject;
  /** undefined where the file holds none. */
  tokenizer: GgufTokenizer | undefined;
  weights: WeightSource;
}

const ropeFactors = "rope_freqs.weight";

/** Opens a GGUF file; throws a one-line UserError for a damaged file, another architecture or an unsupported block type. */
export function openGguf(path: string): GgufModel {
  const file = openInput(path);
  try {
    const shown = shownPath(path);
    const header = parseGguf(file, shown);
    checkTypes(header, shown);
    const config = llamaConfig(header, shown, readRopeFactors(header, file));
    const tokenizer = readGgufTokenizer({ file: shown, metadata: header.metadata });
    return { path, config, tokenizer, weights: ggufWeights(path, file, header, config) };
  } catch (error) {
    file.close();
    throw error;
  }
}

function checkTypes(header: GgufHeader, shown: string): void {
  const supported: readonly string[] = [...plainDtypes, ...blockCodecs];
  const bad = [...header.tensors.values()].find((tensor) => !supported.includes(tensor.type.name));
  if (bad)
    throw new UserError(
      `${shown}: tensor ${printable(bad.name)} is ${bad.type.name.toUpperCase()}; supported: ${supported.join(", ").toUpperCase()}`,
    );
}

function readRopeFactors(header: GgufHeader, file: InputFile): Float32Array | undefined {
  const tensor = header.tensors.get(ropeFactors);
  if (!tensor) return undefined;
  if (tensor.type.name !== "f32")
    throw new UserError(
      `${shownPath(file.path)}: tensor ${ropeFactors} is ${tensor.type.name.toUpperCase()}, not F32; convert the model again`,
    );
  const bytes = file.read(tensor.begin, tensor.end - tensor.begin);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

function ggufWeights(path: string, file: InputFile, header: GgufHeader, config: JsonObject): WeightSource {
  const tensors = [...header.tensors.values()].filter((tensor) => tensor.name !== ropeFactors);
  const located = tensors.map(
    (tensor) => [llamaTensorName(tensor.name) ?? tensor.name, locate(file, tensor, config)] as const,
  );
  return weightSource(path, new Map(located), () => file.close());
}

function locate(file: InputFile, tensor: GgufTensor, config: JsonObject): Located {
  const heads = permutedHeads(tensor.name, config);
  const [rows = 0] = tensor.shape;
  const isPermuted = heads !== undefined && rows > 0;
  if (isPermuted && rows % (2 * heads) !== 0)
    throw new UserError(
      `${shownPath(file.path)}: tensor ${printable(tensor.name)} has ${rows} rows for ${heads} heads; convert the model again`,
    );
  const stored = bytesAt(file, tensor.begin, tensor.end);
  const info = { dtype: tensor.type.name, shape: tensor.shape, file: file.path };
  return isPermuted
    ? { ...info, read: (scratch) => unpermuteRows(stored.read(scratch), rows, heads) }
    : { ...info, ...stored };
}
