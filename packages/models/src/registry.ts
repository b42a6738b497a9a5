import { ModelConfigError } from "./errors.ts";
import { show, type ConfigRecord } from "./fields.ts";
import { gemma2 } from "./gemma2.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import type { Architecture } from "./model.ts";
import { olmo2 } from "./olmo2.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";

/** `model_type` → architecture: one line each. */
const architectures = {
  gemma2,
  llama,
  mistral,
  olmo2,
  phi3,
  qwen2,
  qwen3,
} as const satisfies Record<string, (config: ConfigRecord) => Architecture>;

/** Class names that transformers writes into `architectures`. */
const classNames: Readonly<Record<string, keyof typeof architectures>> = {
  Gemma2ForCausalLM: "gemma2",
  LlamaForCausalLM: "llama",
  MistralForCausalLM: "mistral",
  Olmo2ForCausalLM: "olmo2",
  Phi3ForCausalLM: "phi3",
  Qwen2ForCausalLM: "qwen2",
  Qwen3ForCausalLM: "qwen3",
};

/** An architecture by the names that config.json has for it. */
export interface NamedArchitecture extends Architecture {
  readonly names: { readonly architectures: readonly string[]; readonly model_type: string };
}

/**
 * The architecture that a config.json describes. Python files that `auto_map` names are never looked at.
 * @throws {ModelConfigError} for an architecture that is not known, or a value that cannot be
 */
export function architectureOf(config: ConfigRecord): NamedArchitecture {
  const listed = config["architectures"];
  const className: unknown = Array.isArray(listed) ? listed[0] : undefined;
  const type =
    config["model_type"] ??
    (typeof className === "string" && Object.hasOwn(classNames, className) ? classNames[className] : undefined);
  if (typeof className === "string" && !Object.hasOwn(classNames, className)) {
    throw new ModelConfigError(
      "architectures",
      `is ${show(className)}; supported is ${Object.keys(classNames).join(", ")}`,
    );
  }
  if (typeof type !== "string" || !Object.hasOwn(architectures, type)) {
    throw new ModelConfigError("model_type", `is ${show(type)}; supported is ${Object.keys(architectures).join(", ")}`);
  }
  const names = {
    architectures: Object.keys(classNames).filter((name) => classNames[name] === type),
    model_type: type,
  };
  return { ...architectures[type as keyof typeof architectures](config), names };
}
