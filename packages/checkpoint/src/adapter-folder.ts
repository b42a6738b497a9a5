// Adapter folders: adapter_config.json, the weights and README.md as peft 0.21 or `adapters` 1.3 writes them. What the
// config means, and how tensors are named, is the peft package's business.
import { type JsonObject, writeJson } from "@welltempered/formats";
import { safetensorsBytes, type TensorToWrite } from "./safetensors-parts.ts";
import type { WeightSource } from "./weight-source.ts";

export const configName = "adapter_config.json";
/** Name of the weights, a library. */
export const adapterWeights = { peft: "adapter_model.safetensors", adapters: "adapter.safetensors" } as const;
/** LlamaFactory's name of a reward model's head. */
export const valueHeadName = "value_head.safetensors";

export interface AdapterFolder {
  path: string;
  /** adapter_config.json, objects without a prototype. */
  config: JsonObject;
  weights: WeightSource;
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

/** The files that `writeAdapterFolder` writes, by name. */
export async function adapterFiles({
  library = "peft",
  config,
  tensors,
  readme,
}: AdapterToWrite): Promise<Map<string, Uint8Array>> {
  const encoder = new TextEncoder();
  return new Map([
    [adapterWeights[library], await safetensorsBytes(tensors)],
    ...(readme === undefined ? [] : [["README.md", encoder.encode(readme)] as const]),
    [configName, encoder.encode(adapterConfigText(config))],
  ]);
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
