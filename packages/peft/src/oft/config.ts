import { AdapterError } from "../errors.ts";
import { flag, names, onlyPlain, targets, whole } from "../fields.ts";
import type { Json, MethodConfig } from "../method.ts";

/** OFT (Qiu et al. 2023, 2025) as `adapter_config.json` describes it: version 2, which rotates the input. */
export interface OftConfig extends MethodConfig {
  peftType: "OFT";
  /** Number of blocks, and their size: exactly one is not 0, and the other follows from a projection's inputs. */
  r: number;
  blockSize: number;
  /** Terms of the Cayley-Neumann series; undefined for the exact Cayley transform. */
  neumannTerms: number | undefined;
}

/** Fields of peft that change the method. */
const plainOnly: Readonly<Record<string, readonly unknown[]>> = {
  bias: ["none"],
  block_share: [false],
  coft: [false],
  exclude_modules: [null],
  fan_in_fan_out: [false],
  init_weights: [true, false],
  layers_pattern: [null],
  layers_to_transform: [null],
};

/** peft stores `module_dropout` and never applies it, so any value of it means the same. @throws {AdapterError} naming the key */
export function readOftConfig(json: Json): OftConfig {
  onlyPlain(json, plainOnly, "plain OFT");
  if (json["oft_block_size"] === undefined)
    throw new AdapterError("oft_block_size is missing: the adapter is of OFT's first version, of peft up to 0.15");
  const neumann = flag(json, "use_cayley_neumann", true);
  if (neumann && !/^(0\.(1[89]|[2-9]\d)|[1-9])/.test(String(json["peft_version"])))
    throw new AdapterError("peft_version is below 0.18, whose use_cayley_neumann sums another series");
  return {
    peftType: "OFT",
    targetModules: targets(json["target_modules"]),
    modulesToSave: names(json["modules_to_save"], "modules_to_save"),
    r: whole(json, "r", { fallback: 0, min: 0 }),
    blockSize: whole(json, "oft_block_size", { fallback: 32, min: 0 }),
    neumannTerms: neumann ? whole(json, "num_cayley_neumann_terms", { fallback: 5, min: 2 }) : undefined,
  };
}

/** Every field that peft 0.21 writes, in its order. */
export function writeOftConfig(config: OftConfig, targetModules: readonly string[], baseModel: string): Json {
  return {
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    bias: "none",
    block_share: false,
    coft: false,
    eps: 6e-5,
    exclude_modules: null,
    fan_in_fan_out: false,
    inference_mode: true,
    init_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    module_dropout: 0,
    modules_to_save: config.modulesToSave.length === 0 ? null : config.modulesToSave,
    num_cayley_neumann_terms: config.neumannTerms ?? 5,
    oft_block_size: config.blockSize,
    peft_type: "OFT",
    peft_version: "0.21.0",
    r: config.r,
    revision: null,
    target_modules: targetModules,
    task_type: "CAUSAL_LM",
    use_cayley_neumann: config.neumannTerms !== undefined,
  };
}
