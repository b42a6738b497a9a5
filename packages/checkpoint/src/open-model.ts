import { statSync } from "node:fs";
import { type GgufTokenizer, type JsonObject, UserError } from "@welltempered/formats";
import { joinFourBit, readQuantizationConfig } from "./bitsandbytes-source.ts";
import { openGguf } from "./gguf-source.ts";
import { shownPath } from "./input.ts";
import { ioError } from "./io.ts";
import { joinLlmInt8 } from "./llm-int8-source.ts";
import { readModelFolder } from "./model-folder.ts";
import type { WeightSource } from "./weight-source.ts";

/** Where a model's tokenizer is: paths of its files in a folder, their texts, or a GGUF file. */
export type ModelTokenizer =
  | { kind: "folder"; path: string; files: ReadonlyMap<string, string> }
  | { kind: "files"; path: string; files: Readonly<Record<string, string>> }
  | { kind: "gguf"; path: string; tokenizer: GgufTokenizer }
  | { kind: "none" };

/** A model, whatever its form. */
export interface OpenModel {
  path: string;
  /** Hugging Face's config.json, objects without a prototype. */
  config: JsonObject;
  generationConfig: JsonObject | undefined;
  tokenizer: ModelTokenizer;
  weights: WeightSource;
}

/** Opens a Hugging Face model folder or a .gguf file; throws a one-line UserError (exit code 2 or 3). Close `weights` when done. */
export function openModel(path: string): OpenModel {
  return isFile(path) ? fromGguf(path) : fromFolder(path);
}

function isFile(path: string): boolean {
  try {
    return !statSync(path).isDirectory();
  } catch (error) {
    throw ioError(error, path, "opening");
  }
}

function fromFolder(path: string): OpenModel {
  const { config, generationConfig, tokenizerFiles, weights: stored } = readModelFolder(path);
  const weights = closingOnError(stored, () => {
    const threshold = readQuantizationConfig(config, path);
    return threshold === undefined ? joinFourBit(stored) : joinLlmInt8(stored, threshold);
  });
  // How the files hold the weights, not what the model is.
  delete config["quantization_config"];
  const tokenizer: ModelTokenizer =
    tokenizerFiles.size > 0 ? { kind: "folder", path, files: tokenizerFiles } : { kind: "none" };
  return { path, config, generationConfig, tokenizer, weights };
}

function closingOnError<T>(weights: WeightSource, body: () => T): T {
  try {
    return body();
  } catch (error) {
    weights.close();
    throw error;
  }
}

function fromGguf(path: string): OpenModel {
  if (!/\.gguf$/i.test(path)) throw new UserError(`${shownPath(path)}: is a file; give a model folder or a .gguf file`);
  const { config, tokenizer, weights } = openGguf(path);
  return {
    path,
    config,
    generationConfig: undefined,
    tokenizer: tokenizer ? { kind: "gguf", path, tokenizer } : { kind: "none" },
    weights,
  };
}
