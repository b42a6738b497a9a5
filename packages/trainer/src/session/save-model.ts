// What a run leaves behind that Hugging Face loads: an adapter folder, or a model folder.

import {
  adapterWeights,
  bitsandbytesWriter,
  isBitsandbytes,
  modelCard,
  quantizationConfig,
  writeAdapterFolder,
  writeFileAtomic,
  writeModelWeights,
  writeSafetensors,
  type TensorToWrite,
} from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import type { BitsandbytesCodec } from "@welltempered/kernels";
import type { CausalLM } from "@welltempered/nn";
import type { Adapter } from "@welltempered/peft";
import type { Engine } from "@welltempered/tensor";
import type { Tokenizer } from "@welltempered/tokenizer";
import { join } from "node:path";
import { toWrite, torchNames, withAdapterFiles, writtenTensors, type SavedDtype } from "./adapter-to-write.ts";
import type { LoadedModel } from "./load-model.ts";
import { languageParameters, saveValueHead } from "./value-head.ts";

/** The trained adapter, or all weights where everything was trained; with the value head and the tokenizer's files. */
export async function saveTrained(
  folder: string,
  engine: Engine,
  loaded: LoadedModel,
  tokenizer: Tokenizer,
  config: RunConfig,
): Promise<void> {
  if (loaded.adapter === undefined) {
    await saveModel(folder, engine, loaded, tokenizer, {
      dtype: loaded.trainedIn,
      shardBytes: 5e9,
      title: config.modelNameOrPath,
    });
    return;
  }
  const { adapter } = loaded;
  await withAdapterFiles({ engine, adapter, config }, (files) => writeAdapterFolder(folder, files));
  if (adapter.isDerived)
    await writeSafetensors(join(folder, trainedFile(adapter)), writtenTensors(engine, adapter.tensors()));
  await saveValueHead(folder, engine, loaded.model);
  await saveTokenizer(folder, tokenizer);
}

/** Where the parameters lie that train; peft's file may hold what they make instead. */
export const trainedFile = ({ isDerived, library }: Adapter): string =>
  isDerived ? "trained_parameters.safetensors" : adapterWeights[library];

export interface SaveModelOptions {
  dtype: SavedDtype;
  /** Weights that are in bitsandbytes' codes are written so; without it all are of the dtype. */
  codec?: BitsandbytesCodec | undefined;
  shardBytes: number;
  /** Where the model came from, for its card. */
  title: string;
}

/** A model folder: weights in one dtype, config.json, generation_config.json, tokenizer files, README.md. */
export async function saveModel(
  folder: string,
  engine: Engine,
  { model, config, floatFields }: LoadedModel,
  tokenizer: Tokenizer,
  { dtype, codec, shardBytes, title }: SaveModelOptions,
): Promise<void> {
  const tensors = languageParameters(model).map(([name, parameter]) => toWrite(engine, name, parameter, dtype));
  const written = codec === undefined ? tensors : await inCodes(engine, model, tensors, dtype);
  await writeModelWeights(folder, written, shardBytes);
  await saveValueHead(folder, engine, model);
  const quantization = codec === undefined ? {} : { quantization_config: quantizationConfig(codec, torchNames[dtype]) };
  const record = { ...savedConfig(model, config, dtype), ...quantization };
  await writeFileAtomic(join(folder, "config.json"), configText(record, [...floatFields, "llm_int8_threshold"]));
  await writeFileAtomic(
    join(folder, "generation_config.json"),
    `${JSON.stringify(generationConfig(record, tokenizer), null, 2)}\n`,
  );
  const readme = modelCard({
    baseModel: title,
    tags: ["welltempered"],
    library: "transformers",
    title: "Model",
    body: `Made from ${title} with welltempered.`,
  });
  await writeFileAtomic(join(folder, "README.md"), readme);
  await saveTokenizer(folder, tokenizer);
}

/** Where a weight is in bitsandbytes' codes, the tensors of these stand for it. */
async function inCodes(
  engine: Engine,
  model: CausalLM,
  tensors: readonly TensorToWrite[],
  dtype: SavedDtype,
): Promise<TensorToWrite[]> {
  const writer = await bitsandbytesWriter(engine.backend);
  const parameters = new Map(model.namedParameters());
  const all: TensorToWrite[] = [];
  for (const tensor of tensors) {
    const { name } = tensor;
    const { dtype: codec = dtype, slot, shape = [] } = parameters.get(name)?.tensor ?? {};
    const [rows = 0, columns = 0] = shape;
    if (slot === undefined || !isBitsandbytes(codec)) all.push(tensor);
    else all.push(...(await writer({ name, codec, slot, shape: [rows, columns] }, torchNames[dtype])));
  }
  return all;
}

export async function saveTokenizer(folder: string, tokenizer: Tokenizer): Promise<void> {
  for (const [name, text] of Object.entries(tokenizer.files)) await writeFileAtomic(join(folder, name), text);
}

function savedConfig(model: CausalLM, config: LoadedModel["config"], dtype: SavedDtype): Record<string, unknown> {
  const { torch_dtype: _, ...rest } = config;
  // A head that was trained apart from the embedding is no longer tied to it.
  const [embedding] = [...model.namedParameters()].filter(([name]) => name === "model.embed_tokens.weight");
  const tied = embedding?.[1] === model.headWeight;
  return {
    ...rest,
    tie_word_embeddings: tied,
    dtype: torchNames[dtype],
  };
}

/** JSON in which whole numbers of these fields have a decimal point. */
function configText(record: Record<string, unknown>, floatFields: readonly string[]): string {
  const pointed = (text: string, field: string): string =>
    text.replace(new RegExp(`^( +"${field}": -?\\d+)(,?)$`, "m"), "$1.0$2");
  return `${floatFields.reduce(pointed, JSON.stringify(record, null, 2))}\n`;
}

function generationConfig(
  config: Readonly<Record<string, unknown>>,
  { specialTokens }: Tokenizer,
): Record<string, unknown> {
  const id = (name: "bos" | "eos" | "pad"): unknown => specialTokens[name]?.id ?? config[`${name}_token_id`];
  const ids = { bos_token_id: id("bos"), eos_token_id: id("eos"), pad_token_id: id("pad") };
  return {
    _from_model_config: true,
    ...Object.fromEntries(Object.entries(ids).filter(([, value]) => value !== undefined && value !== null)),
  };
}
