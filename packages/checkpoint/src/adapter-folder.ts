// PEFT adapter folders: adapter_config.json, adapter_model.safetensors and README.md as peft 0.21 writes them. What the
// config means, and how tensors are named, is the peft package's business.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type JsonObject, UserError, writeJson } from "@welltempered/formats";
import { writeFileAtomic } from "./atomic-file.ts";
import { makeFolder, shownPath } from "./io.ts";
import { checkFolder, fileInside, readJsonFile } from "./model-folder.ts";
import { type TensorToWrite, writeSafetensors } from "./write-safetensors.ts";
import { openSafetensors, type WeightSource } from "./weight-source.ts";

const configName = "adapter_config.json";
const weightsName = "adapter_model.safetensors";

export interface AdapterFolder {
  path: string;
  /** adapter_config.json, objects without a prototype. */
  config: JsonObject;
  weights: WeightSource;
}

/** Opens an adapter folder made by peft or by this project; throws a one-line UserError. Close `weights` when done. */
export function readAdapterFolder(path: string): AdapterFolder {
  checkFolder(path);
  const configFile = fileInside(path, configName);
  if (!configFile) throw new UserError(`${shownPath(path)}: holds no ${configName}; give a folder with a PEFT adapter`);
  const config = readJsonFile(configFile);
  if (typeof config["peft_type"] !== "string")
    throw new UserError(`${shownPath(configFile)}:peft_type: is missing; give the config of a PEFT adapter`);
  const weightsFile = fileInside(path, weightsName);
  if (weightsFile) return { path, config, weights: openSafetensors(weightsFile) };
  const isPickle = existsSync(join(path, "adapter_model.bin"));
  throw new UserError(
    `${shownPath(path)}: holds ${isPickle ? "only adapter_model.bin, and pickle is not read; convert to safetensors" : `no ${weightsName}; give the whole adapter`}`,
  );
}

export interface AdapterToWrite {
  /** All fields of adapter_config.json. */
  config: Readonly<Record<string, unknown>>;
  tensors: readonly TensorToWrite[];
  /** README.md; modelCard() makes one. */
  readme?: string;
}

/** Writes an adapter folder that `PeftModel.from_pretrained` loads; each file is whole or not there, the config comes last. */
export async function writeAdapterFolder(folder: string, { config, tensors, readme }: AdapterToWrite): Promise<void> {
  await makeFolder(folder);
  await writeSafetensors(join(folder, weightsName), tensors);
  if (readme !== undefined) await writeFileAtomic(join(folder, "README.md"), readme);
  await writeFileAtomic(join(folder, configName), adapterConfigText(config));
}

const floatFields = new Set(["lora_dropout"]);

/** json.dumps(config, indent=2, sort_keys=True), as peft saves it. */
export function adapterConfigText(config: Readonly<Record<string, unknown>>): string {
  return writeJson(config, { indent: 2, sortKeys: true, python: true, floatKeys: floatFields });
}

export interface ModelCard {
  /** Hub name or path of the base model. */
  baseModel: string;
  tags: readonly string[];
  library: "peft" | "transformers";
  title: string;
  /** Markdown after the title. */
  body: string;
}

/** README.md with the metadata that the Hub and peft read from its front matter. */
export function modelCard({ baseModel, tags, library, title, body }: ModelCard): string {
  const header = [
    `base_model: ${JSON.stringify(baseModel)}`,
    `library_name: ${library}`,
    "pipeline_tag: text-generation",
    "tags:",
    ...tags.map((tag) => `- ${JSON.stringify(tag)}`),
  ];
  return `---\n${header.join("\n")}\n---\n\n# ${title.replaceAll("\n", " ")}\n\n${body.trim()}\n`;
}
