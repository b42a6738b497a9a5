// Rules between keys (LlamaFactory's, where they concern supported keys), and defaults that follow from other keys.
import { ConfigError, shown } from "./errors.ts";
import { readDescriptions } from "./special-tokens.ts";
import { quantizationBits, type RunConfig, type SchedulerName } from "./run-config.ts";
import type { WrittenConfig } from "./written.ts";

/** What the configuration is for: it decides which keys must be there. */
export type Purpose = "train" | "plan" | "chat" | "export";

type Positions = ReadonlyMap<string, string>;
type Rule = readonly [broken: boolean, key: string, what: string, hint: string];

/** Arguments each schedule takes in `lr_scheduler_kwargs` (transformers.optimization). */
// prettier-ignore
const scheduleArguments: Readonly<Record<SchedulerName, readonly string[]>> = {
  linear: [],
  cosine: ["num_cycles"],
  cosine_with_restarts: ["num_cycles"],
  polynomial: ["lr_end", "power"],
  constant: [],
  constant_with_warmup: [],
  inverse_sqrt: ["timescale"],
  reduce_lr_on_plateau: ["mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps"],
  cosine_with_min_lr: ["num_cycles", "min_lr", "min_lr_rate"],
  cosine_warmup_with_min_lr: ["num_cycles", "min_lr", "min_lr_rate", "warmup_lr_rate"],
  warmup_stable_decay: [
    "num_stable_steps", "num_decay_steps", "warmup_type", "decay_type", "min_lr_ratio", "num_cycles",
  ],
  greedy: [
    "factor", "patience", "cooldown", "warmup", "min_lr", "max_lr", "eps", "window_size", "smooth", "reset_start", "verbose",
  ],
};
const textArguments = ["mode", "threshold_mode", "warmup_type", "decay_type"];
const flagArguments = ["smooth", "verbose"];

/** Tokens are added, and rows for them. */
const grows = (v: WrittenConfig): boolean =>
  v.resizeVocab || v.addTokens.length + v.addSpecialTokens.length > 0 || v.newSpecialTokensConfig !== undefined;

/** Checks the rules between keys. Throws ConfigError naming the key, and its place when it was written. */
export function checkRules(values: WrittenConfig, purpose: Purpose, positions: Positions): void {
  const rules = [
    ...modelRules(values, purpose),
    ...(purpose === "train" || purpose === "plan" ? runRules(values, purpose) : []),
  ];
  for (const [broken, key, what, hint] of rules)
    if (broken) throw new ConfigError("conflict", positions.get(key) ?? "", what, hint);
}

function modelRules(v: WrittenConfig, purpose: Purpose): Rule[] {
  const noAdapter = v.finetuningType === "full" || v.finetuningType === "freeze";
  const attached = ["prompt_tuning", "prefix_tuning", "houlsby", "pfeiffer"].includes(v.finetuningType);
  const fromText = v.finetuningType === "prompt_tuning" && v.promptTuningInit === "TEXT";
  // prettier-ignore
  return [
    [v.modelNameOrPath === "", "model_name_or_path", "model_name_or_path is missing", "name a model folder or .gguf file"],
    [noAdapter && v.adapterNameOrPath.length > 0, "adapter_name_or_path", `an adapter with finetuning_type: ${v.finetuningType}`, "use finetuning_type: lora"],
    [v.finetuningType !== "lora" && v.useRslora, "use_rslora", `use_rslora with finetuning_type: ${v.finetuningType}`, "use finetuning_type: lora"],
    [v.quantizationBit !== undefined && ["full", "freeze"].includes(v.finetuningType), "quantization_bit", `quantization_bit with finetuning_type: ${v.finetuningType}, which trains the weights themselves`, "use finetuning_type: lora"],
    [v.quantizationBit !== undefined && grows(v), "resize_vocab", "new tokens with quantization_bit", "add the tokens to the unquantised model first"],
    [v.quantizationBit !== undefined && v.trainFromScratch, "quantization_bit", "quantization_bit with train_from_scratch", "remove one of them"],
    [v.quantizationBit !== 8 && v.llmInt8Threshold !== 6, "llm_int8_threshold", "llm_int8_threshold is not used", "set quantization_bit: 8"],
    [attached && v.additionalTarget.length > 0, "additional_target", `additional_target with finetuning_type: ${v.finetuningType}`, "remove it"],
    [v.finetuningType !== "prefix_tuning" && v.prefixProjection, "prefix_projection", `prefix_projection with finetuning_type: ${v.finetuningType}`, "use finetuning_type: prefix_tuning"],
    [!v.prefixProjection && v.encoderHiddenSize !== undefined, "encoder_hidden_size", "encoder_hidden_size without prefix_projection", "remove it"],
    [!["houlsby", "pfeiffer"].includes(v.finetuningType) && v.nonLinearity !== undefined, "non_linearity", `non_linearity with finetuning_type: ${v.finetuningType}`, "use finetuning_type: houlsby or pfeiffer"],
    [fromText && !v.promptTuningInitText, "prompt_tuning_init", "prompt_tuning_init: TEXT without a text", "set prompt_tuning_init_text"],
    [!fromText && v.promptTuningInitText !== undefined, "prompt_tuning_init_text", "prompt_tuning_init_text is not used", "set finetuning_type: prompt_tuning and prompt_tuning_init: TEXT"],
    [v.finetuningType !== "lora" && v.useDora, "use_dora", `use_dora with finetuning_type: ${v.finetuningType}`, "use finetuning_type: lora"],
    [v.finetuningType === "prefix_tuning" && v.gradientCheckpointing, "gradient_checkpointing", "gradient_checkpointing with finetuning_type: prefix_tuning, whose keys and values come from outside the layers", "remove it"],
    [v.finetuningType !== "lora" && v.pissaInit, "pissa_init", `pissa_init with finetuning_type: ${v.finetuningType}`, "use finetuning_type: lora"],
    [v.finetuningType === "loha" && v.loraDropout > 0, "lora_dropout", "lora_dropout with finetuning_type: loha", "LoHa has no dropout; remove it"],
    [v.finetuningType !== "lora" && v.loraplusLrRatio !== undefined, "loraplus_lr_ratio", `loraplus_lr_ratio with finetuning_type: ${v.finetuningType}`, "use finetuning_type: lora"],
    [purpose === "chat" && v.stage === "rm", "stage", "chat with stage: rm, which scores and does not answer", "use stage: sft"],
    [purpose === "export" && !v.exportDir, "export_dir", "export_dir is missing", "name the folder to write the model to"],
    [v.loraTarget.length === 0, "lora_target", "lora_target is empty", "name modules, or write all"],
    ...quantizationRules(v),
    ...ia3Rules(v),
    ...rotationRules(v),
  ];
}

function quantizationRules({
  quantizationBit: bit,
  quantizationMethod: method,
  quantizationType: type,
}: WrittenConfig): Rule[] {
  const known: readonly number[] = quantizationBits[method];
  // prettier-ignore
  return [
    [bit === undefined && method !== "bnb", "quantization_method", `quantization_method: ${method} without quantization_bit`, `set quantization_bit: ${known.join(" or ")}`],
    [bit !== undefined && !known.includes(bit), "quantization_bit", `quantization_bit: ${bit} with quantization_method: ${method}`, `use quantization_bit: ${known.join(" or ")}`],
    [type !== "nf4" && method !== "bnb", "quantization_type", `quantization_type: ${type} with quantization_method: ${method}`, "remove it"],
  ];
}

function ia3Rules(v: WrittenConfig): Rule[] {
  const stray =
    v.finetuningType === "ia3" ? v.feedforwardModules.find((name) => !v.ia3Target.includes(name)) : undefined;
  // prettier-ignore
  return [
    [v.ia3Target.length === 0, "ia3_target", "ia3_target is empty", "name modules, or write all"],
    [stray !== undefined, "feedforward_modules", `feedforward_modules names ${stray}, which ia3_target does not`, "name it in both; with ia3_target: all, write feedforward_modules: []"],
  ];
}

function rotationRules(v: WrittenConfig): Rule[] {
  const [oft, boft] = [v.finetuningType === "oft", v.finetuningType === "boft"];
  const both = "set one of them to 0, the other above it";
  // prettier-ignore
  return [
    [v.oftTarget.length === 0, "oft_target", "oft_target is empty", "name modules, or write all"],
    [v.boftTarget.length === 0, "boft_target", "boft_target is empty", "name modules, or write all"],
    [v.veraTarget.length === 0, "vera_target", "vera_target is empty", "name modules, or write all"],
    [oft && (v.oftRank === 0) === (v.oftBlockSize === 0), "oft_rank", `oft_rank ${v.oftRank} with oft_block_size ${v.oftBlockSize}`, both],
    [boft && (v.boftBlockNum === 0) === (v.boftBlockSize === 0), "boft_block_num", `boft_block_num ${v.boftBlockNum} with boft_block_size ${v.boftBlockSize}`, both],
  ];
}

function runRules(v: WrittenConfig, purpose: Purpose): Rule[] {
  return [
    ...taskRules(v, purpose),
    ...precisionRules(v),
    ...dataRules(v),
    ...preferenceRules(v),
    ...bestRules(v),
    ...scheduleRules(v),
  ];
}

/** Keys of stage dpo, and of one of its losses, have no effect elsewhere. */
function preferenceRules(v: WrittenConfig): Rule[] {
  const pairs = v.stage === "dpo";
  const compares = pairs && v.prefLoss !== "orpo" && v.prefLoss !== "simpo";
  const itself = v.refModel === undefined && v.adapterNameOrPath.length === 0;
  // prettier-ignore
  return [
    [v.dpoLabelSmoothing > 0 && v.prefLoss !== "sigmoid", "dpo_label_smoothing", `dpo_label_smoothing with pref_loss: ${v.prefLoss}`, "use pref_loss: sigmoid"],
    [pairs && (v.neftuneNoiseAlpha ?? 0) > 0, "neftune_noise_alpha", "neftune_noise_alpha with stage: dpo", "remove it: both passes over a pair must see the same"],
    [pairs && grows(v) && (v.refModel !== undefined || v.finetuningType === "full" || v.finetuningType === "freeze"), "resize_vocab", "new tokens and a reference model beside the trained one", "use an adapter without ref_model"],
    [v.stage !== "sft" && v.stage !== "pt" && (v.packing ?? false), "packing", "packing outside stages sft and pt", "remove it"],
    [pairs && !compares && v.refModel !== undefined, "ref_model", `ref_model with pref_loss: ${v.prefLoss}`, "remove it: this loss has no reference"],
    [!pairs && v.refModel !== undefined, "ref_model", "ref_model outside stage dpo", "remove it"],
    [v.refModel === undefined && v.refModelAdapters.length > 0, "ref_model_adapters", "ref_model_adapters without ref_model", "name the model they belong to"],
    [v.refModel === undefined && v.refModelQuantizationBit !== undefined, "ref_model_quantization_bit", "ref_model_quantization_bit without ref_model", "name the model to quantise"],
    [v.refModelQuantizationBit !== undefined && v.refModelAdapters.length > 1, "ref_model_adapters", "several adapters on a quantised ref_model", "merge all but the last first: merging leaves the codec"],
    [compares && !v.doTrain && itself, "ref_model", "a model evaluated against itself", "name a ref_model or an adapter_name_or_path"],
  ];
}

function taskRules(v: WrittenConfig, purpose: Purpose): Rule[] {
  const runs = purpose === "train";
  const evaluates = v.doEval || v.doPredict || v.predictWithGenerate || v.evalStrategy !== "no";
  const hasEvalData = v.evalDataset.length > 0 || v.valSize > 0;
  // prettier-ignore
  return [
    [!v.doTrain && !v.doEval && !v.doPredict, "", "nothing to do", "write do_train, do_eval or do_predict: true"],
    [!runs && !v.doTrain, "do_train", "a plan without do_train", "write do_train: true"],
    [runs && !v.outputDir, "output_dir", "output_dir is missing", "name the run folder"],
    [runs && v.doTrain && v.dataset.length === 0, "dataset", "do_train without dataset", "name a data set of dataset_info.json"],
    [evaluates && !hasEvalData, "eval_dataset", "evaluation or prediction without data", "set eval_dataset or val_size"],
    [v.doPredict && v.stage !== "rm" && !v.predictWithGenerate, "do_predict", "do_predict without predict_with_generate", "set predict_with_generate: true"],
    [v.stage !== "sft" && v.predictWithGenerate, "predict_with_generate", "predict_with_generate outside stage sft", "remove it"],
  ];
}

function precisionRules({ fp16, bf16, pureBf16, optim }: WrittenConfig): Rule[] {
  const rounds = ["adamw_torch", "adamw_torch_fused", "lion_32bit", "sgd"].includes(optim);
  // prettier-ignore
  return [
    [fp16 && bf16, "fp16", "fp16 and bf16 exclude each other", "keep one"],
    [fp16 && pureBf16, "fp16", "fp16 and pure_bf16 exclude each other", "keep one"],
    [pureBf16 && !rounds, "optim", `optim: ${optim} with pure_bf16`, "use adamw_torch, lion_32bit or sgd"],
  ];
}

function dataRules(v: WrittenConfig): Rule[] {
  const onlySft = v.stage !== "sft";
  // prettier-ignore
  return [
    [v.valSize > 0 && v.dataset.length === 0, "val_size", "val_size without dataset", "name the data set to split"],
    [v.valSize > 0 && v.evalDataset.length > 0, "val_size", "val_size and eval_dataset exclude each other", "keep one"],
    [v.maskHistory && v.trainOnPrompt, "mask_history", "mask_history and train_on_prompt exclude each other", "keep one"],
    [onlySft && v.neatPacking, "neat_packing", "neat_packing outside stage sft", "remove it"],
    [onlySft && v.trainOnPrompt, "train_on_prompt", "train_on_prompt outside stage sft", "remove it"],
    [onlySft && v.maskHistory, "mask_history", "mask_history outside stage sft", "remove it"],
    [v.neatPacking && v.packing === false, "packing", "neat_packing with packing: false", "remove one of them"],
  ];
}

function bestRules(v: WrittenConfig): Rule[] {
  const best = v.loadBestModelAtEnd;
  const evaluates = v.evalStrategy !== "no";
  const differ = v.saveStrategy !== "best" && v.saveStrategy !== v.evalStrategy;
  const evalSteps = v.evalSteps ?? v.loggingSteps;
  const uneven = v.evalStrategy === "steps" && v.saveStrategy === "steps" && v.saveSteps % evalSteps !== 0;
  const noMetric = !best && v.metricForBestModel === undefined;
  // prettier-ignore
  return [
    [best && !evaluates, "load_best_model_at_end", "load_best_model_at_end without evaluation", "set eval_strategy"],
    [best && differ, "load_best_model_at_end", "load_best_model_at_end with different save_strategy and eval_strategy", "make them equal"],
    [best && uneven, "save_steps", `save_steps ${v.saveSteps} is no multiple of eval_steps ${evalSteps}`, "load_best_model_at_end needs one"],
    [v.saveStrategy === "best" && !evaluates, "save_strategy", "save_strategy: best without evaluation", "set eval_strategy"],
    [v.earlyStoppingSteps !== undefined && !evaluates, "early_stopping_steps", "early_stopping_steps without evaluation", "set eval_strategy"],
    [v.earlyStoppingSteps !== undefined && noMetric, "early_stopping_steps", "early_stopping_steps without a metric", "set load_best_model_at_end or metric_for_best_model"],
  ];
}

function wrongArgument([key, value]: [string, unknown]): boolean {
  if (textArguments.includes(key)) return typeof value !== "string";
  if (flagArguments.includes(key)) return typeof value !== "boolean";
  return value !== null && !Number.isFinite(value);
}

function scheduleRules(v: WrittenConfig): Rule[] {
  const name = v.lrSchedulerType;
  const given = v.lrSchedulerKwargs ?? {};
  const known = scheduleArguments[name];
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  const wrong = Object.entries(given).find(wrongArgument);
  const listens = name === "reduce_lr_on_plateau" || name === "greedy";
  const needsMin = name === "cosine_with_min_lr" || name === "cosine_warmup_with_min_lr";
  const hasMin = Object.hasOwn(given, "min_lr") || Object.hasOwn(given, "min_lr_rate");
  // prettier-ignore
  return [
    [unknown !== undefined, "lr_scheduler_kwargs", `lr_scheduler_kwargs: ${name} has no ${JSON.stringify(unknown)}`, known.length > 0 ? `it takes ${known.join(", ")}` : "it takes none"],
    [wrong !== undefined, "lr_scheduler_kwargs", `lr_scheduler_kwargs: ${wrong?.[0]} cannot be ${shown(wrong?.[1])}`, "correct the value"],
    [needsMin && !hasMin, "lr_scheduler_type", `lr_scheduler_type ${name} without a minimum`, "set min_lr or min_lr_rate in lr_scheduler_kwargs"],
    [listens && v.evalStrategy === "no", "lr_scheduler_type", `${name} without evaluation`, "set eval_strategy"],
    [(v.warmupRatio ?? 0) > 0 && v.warmupSteps > 0, "warmup_ratio", "warmup_ratio and warmup_steps exclude each other", "keep one"],
    [listens && v.loraplusLrRatio !== undefined, "loraplus_lr_ratio", `loraplus_lr_ratio with lr_scheduler_type ${name}, which has one learning rate`, "use another schedule"],
    [v.loraplusLrRatio !== undefined && v.learningRate === 0, "learning_rate", "loraplus_lr_ratio with learning_rate 0", "set a learning_rate"],
    [v.optim !== "sgd" && v.optimArgs !== undefined, "optim_args", "optim_args are for optim: sgd", "remove them"],
  ];
}

/** Names of one optimizer → the one it goes by. */
const sameOptimizers: Readonly<Record<WrittenConfig["optim"], RunConfig["optim"]>> = {
  adamw_torch: "adamw_torch",
  adamw_torch_fused: "adamw_torch",
  adamw_8bit: "adamw_8bit",
  adamw_bnb_8bit: "adamw_8bit",
  adafactor: "adafactor",
  lion_32bit: "lion_32bit",
  sgd: "sgd",
};

/** Fills in what follows from other keys, as LlamaFactory and transformers do. */
export function resolve(v: WrittenConfig, positions: Positions): RunConfig {
  const needsMetric =
    v.loadBestModelAtEnd || ["reduce_lr_on_plateau", "greedy"].includes(v.lrSchedulerType) || v.saveStrategy === "best";
  const metricForBestModel = v.metricForBestModel ?? (needsMetric ? "loss" : undefined);
  const warmup = v.warmupSteps < 1 ? v.warmupSteps : 0;
  return {
    ...v,
    loraAlpha: v.loraAlpha ?? 2 * v.loraRank,
    packing: v.packing ?? (v.neatPacking || v.stage === "pt"),
    packingAsked: v.packing === true || v.neatPacking,
    doEval: v.doEval || v.evalStrategy !== "no",
    doSample: v.doSample && v.temperature > 0,
    newSpecialTokensConfig: readDescriptions(
      v.newSpecialTokensConfig,
      positions.get("new_special_tokens_config") ?? "",
    ),
    optim: sameOptimizers[v.optim],
    optimArgs: sgdOptions(v.optimArgs, positions.get("optim_args") ?? ""),
    lrSchedulerKwargs: v.lrSchedulerKwargs ?? {},
    warmupRatio: v.warmupRatio || warmup,
    warmupSteps: v.warmupSteps < 1 ? 0 : v.warmupSteps,
    evalSteps: v.evalSteps ?? v.loggingSteps,
    metricForBestModel,
    greaterIsBetter: v.greaterIsBetter ?? (metricForBestModel !== undefined && !metricForBestModel.endsWith("loss")),
    resumeFromCheckpoint: v.resumeFromCheckpoint ?? false,
  };
}

/** "momentum=0.9,nesterov=true" as transformers reads it. */
function sgdOptions(text: string | undefined, where: string): RunConfig["optimArgs"] {
  const options = { momentum: 0, nesterov: false };
  const wrong = (what: string): never => {
    throw new ConfigError("value", where, `optim_args: ${what}`, "write momentum=0.9,nesterov=true");
  };
  for (const part of text?.split(",") ?? []) {
    const [name, value] = part.split("=").map((side) => side.trim());
    if (name === "momentum") options.momentum = Number(value || Number.NaN);
    else if (name === "nesterov") options.nesterov = /^(true|1|yes)$/i.test(value ?? "");
    else wrong(`unknown option ${JSON.stringify(name)}`);
  }
  if (!(options.momentum >= 0 && options.momentum < 1)) wrong("momentum must be from 0 to below 1");
  if (options.nesterov && options.momentum === 0) wrong("nesterov needs momentum");
  return options;
}
