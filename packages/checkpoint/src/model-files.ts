// A Hugging Face model whose files are in memory: a page fetched them, or somebody dropped them there.
import { decodeUtf8, nameList, parseJsonObject, UserError } from "@welltempered/formats";
import { inMemory, shownPath } from "./input.ts";
import type { OpenModel } from "./open-model.ts";
import { safetensorsSource } from "./weight-source.ts";

const weightsName = "model.safetensors";

/**
 * A model of the files of its folder, by name; `path` names it in messages. Weights are in model.safetensors, in f32, bf16
 * or f16. Throws a one-line UserError for what is missing or damaged.
 */
export function modelFromFiles(files: ReadonlyMap<string, Uint8Array>, path: string): OpenModel {
  const bytesOf = (name: string): Uint8Array => {
    const bytes = files.get(name);
    if (bytes !== undefined) return bytes;
    throw new UserError(`${shownPath(path)}: holds no ${name}, only ${nameList([...files.keys()])}; hand it over too`);
  };
  const json = (name: string): OpenModel["config"] => parseJsonObject(bytesOf(name), { file: `${path}/${name}` });
  const config = json("config.json");
  if (config["quantization_config"] !== undefined)
    throw new UserError(`${shownPath(path)}: is quantised, which is read from a folder only; hand over plain weights`);
  return {
    path,
    config,
    generationConfig: files.has("generation_config.json") ? json("generation_config.json") : undefined,
    tokenizer: { kind: "files", path, files: textsOf(files, path) },
    weights: safetensorsSource(path, [inMemory(`${path}/${weightsName}`, bytesOf(weightsName))]),
  };
}

const isText = (name: string): boolean => /\.(json|jinja|txt)$/.test(name) && name !== "config.json";

const textsOf = (files: ReadonlyMap<string, Uint8Array>, path: string): Record<string, string> =>
  Object.fromEntries(
    [...files].filter(([name]) => isText(name)).map(([name, bytes]) => [name, decodeUtf8(bytes, `${path}/${name}`)]),
  );
