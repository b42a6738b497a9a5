import { fraction, names, onlyPlain, pattern, positive, targets } from "../fields.ts";
import type { Json, MethodConfig } from "../method.ts";

/** LoRA (Hu et al. 2021) as `adapter_config.json` describes it. */
export interface LoraConfig extends MethodConfig {
  peftType: "LORA";
  r: number;
  alpha: number;
  dropout: number;
  /** rsLoRA (Kalajdzievski 2023): s = α/√r instead of α/r. */
  useRslora: boolean;
  /** DoRA (Liu et al. 2024): a magnitude for each row beside the direction. */
  useDora: boolean;
  /**
   * PiSSA (Meng et al. 2024): training starts from the base's leading singular vectors, which the base goes without. So
   * many iterations find them; -1: exactly. The file is plain LoRA of twice the rank.
   */
  pissaIterations?: number | undefined;
  /** Exceptions to r and α by module name. */
  rankPattern: Readonly<Record<string, number>>;
  alphaPattern: Readonly<Record<string, number>>;
}

/** Fields of peft that change the method: accepted only at the value that leaves it LoRA, rsLoRA or DoRA. */
const plainOnly: Readonly<Record<string, readonly unknown[]>> = {
  bias: ["none"],
  lora_bias: [false],
  fan_in_fan_out: [false],
  use_qalora: [false],
  alora_invocation_tokens: [null],
  layers_to_transform: [null],
  layers_pattern: [null],
  exclude_modules: [null],
  target_parameters: [null],
  trainable_token_indices: [null],
  layer_replication: [null],
  arrow_config: [null],
  use_bdlora: [null, false],
  kasa_config: [null],
  velora_config: [null],
  monteclora_config: [null],
  // Other initialisations change the base weights: a file made with one does not fit the plain base.
  init_lora_weights: [true, false, "gaussian", "orthogonal"],
};

/** @throws {AdapterError} naming the key */
export function readLoraConfig(json: Json): LoraConfig {
  onlyPlain(json, plainOnly, "plain LoRA, rsLoRA and DoRA");
  const r = positive(json, "r");
  return {
    peftType: "LORA",
    r,
    alpha: positive(json, "lora_alpha"),
    dropout: fraction(json, "lora_dropout"),
    targetModules: targets(json["target_modules"]),
    modulesToSave: names(json["modules_to_save"], "modules_to_save"),
    useRslora: json["use_rslora"] === true,
    useDora: json["use_dora"] === true,
    rankPattern: pattern(json, "rank_pattern"),
    alphaPattern: pattern(json, "alpha_pattern"),
  };
}

/** The plain LoRA that an adapter is saved as: for PiSSA, [A; A₀] and [B, −B₀] of twice the rank and the same s. */
function saved(config: LoraConfig): LoraConfig {
  if (config.pissaIterations === undefined) return config;
  const factor = config.useRslora ? Math.SQRT2 : 2;
  const times = (pattern: LoraConfig["rankPattern"], by: number): LoraConfig["rankPattern"] =>
    Object.fromEntries(Object.entries(pattern).map(([name, value]) => [name, by * value]));
  return {
    ...config,
    r: 2 * config.r,
    alpha: factor * config.alpha,
    rankPattern: times(config.rankPattern, 2),
    alphaPattern: times(config.alphaPattern, factor),
  };
}

/** Every field that peft 0.21 writes, keys sorted as it sorts them. */
export function writeLoraConfig(made: LoraConfig, targetModules: readonly string[], baseModel: string): Json {
  const config = saved(made);
  const fields: Record<string, unknown> = {
    alora_invocation_tokens: null,
    alpha_pattern: config.alphaPattern,
    arrow_config: null,
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    bias: "none",
    corda_config: null,
    ensure_weight_tying: false,
    eva_config: null,
    exclude_modules: null,
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    kasa_config: null,
    layer_replication: null,
    layers_pattern: null,
    layers_to_transform: null,
    loftq_config: {},
    lora_alpha: config.alpha,
    lora_bias: false,
    lora_dropout: config.dropout,
    lora_ga_config: null,
    megatron_config: null,
    megatron_core: "megatron.core",
    modules_to_save: config.modulesToSave.length === 0 ? null : config.modulesToSave,
    monteclora_config: null,
    peft_type: "LORA",
    peft_version: "0.21.0",
    qalora_group_size: 16,
    r: config.r,
    rank_pattern: config.rankPattern,
    revision: null,
    target_modules: targetModules,
    target_parameters: null,
    task_type: "CAUSAL_LM",
    trainable_token_indices: null,
    use_bdlora: null,
    use_dora: config.useDora,
    use_qalora: false,
    use_rslora: config.useRslora,
    velora_config: null,
  };
  return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** s = α/r, or α/√r for rsLoRA. */
export const scalingOf = ({ useRslora }: LoraConfig, r: number, alpha: number): number =>
  alpha / (useRslora ? Math.sqrt(r) : r);
