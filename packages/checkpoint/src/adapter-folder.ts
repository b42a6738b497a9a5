// Adapter folders: adapter_config.json, the weights and README.md as peft 0.21 or `adapters` 1.3 writes them. What the
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
/** Name of the weights, a library. */
export const adapterWeights = { peft: "adapter_model.safetensors", adapters: "adapter.safetensors" } as const;

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
  const library = typeof config["peft_type"] === "string" ? "peft" : "adapters";
  if (library === "adapters" && (typeof config["config"] !== "object" || config["config"] === null))
    throw new UserError(`${shownPath(configFile)}:peft_type: is missing; give the config of a PEFT adapter`);
  const weightsName = adapterWeights[library];
  const weightsFile = fileInside(path, weightsName);
  if (weightsFile) return { path, config, weights: openSafetensors(weightsFile) };
  const pickle = library === "peft" ? "adapter_model.bin" : "pytorch_adapter.bin";
  const isPickle = existsSync(join(path, pickle));
  throw new UserError(
    `${shownPath(path)}: holds ${isPickle ? `only ${pickle}, and pickle is not read; convert to safetensors` : `no ${weightsName}; give the whole adapter`}`,
  );
}

export interface AdapterToWrite {
  /** Whose format the folder has; peft's by default. */
  library?: keyof typeof adapterWeights;
  /** All fields of adapter_config.json. */
  config: Readonly<Record<string, unknown>>;
  tensors: readonly TensorToWrite[];
  /** README.md; modelCard() makes one. */
  readme?: string;
}

/** Writes an adapter folder that `PeftModel.from_pretrained`, or `load_adapter` of `adapters`, loads; each file is whole or not there, the config comes last. */
export async function writeAdapterFolder(
  folder: string,
  { library = "peft", config, tensors, readme }: AdapterToWrite,
): Promise<void> {
  await makeFolder(folder);
  await writeSafetensors(join(folder, adapterWeights[library]), tensors);
  if (readme !== undefined) await writeFileAtomic(join(folder, "README.md"), readme);
  await writeFileAtomic(join(folder, configName), adapterConfigText(config));
}

const floatFields = new Set([
  // Of peft.
  "d_initial",
  "lora_dropout",
  "vera_dropout",
  // Of `adapters`.
  "dropout",
  "scaling",
  "stochastic_depth",
]);

/** json.dumps(config, indent=2, sort_keys=True), as peft saves it. */
export function adapterConfigText(config: Readonly<Record<string, unknown>>): string {
  return writeJson(config, { indent: 2, sortKeys: true, python: true, floatKeys: floatFields });
}

export interface ModelCard {
  /** Hub name or path of the base model. */
  baseModel: string;
  tags: readonly string[];
  library: "peft" | "adapters" | "transformers";
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
