// What a configuration file may say and what each wrong line is answered: tables of cases, long as there are rules.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { help, loadConfig, makeConfig } from "../src/index.ts";

const folder = mkdtempSync(join(tmpdir(), "config-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(text: string, name = "lora.yaml"): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const base = {
  model_name_or_path: "model",
  dataset: "docker_train",
  output_dir: "saves/docker",
  do_train: true,
};
const baseText = Object.entries(base)
  .map(([key, value]) => `${key}: ${value}\n`)
  .join("");

function failure(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toMatchObject({ name: "UserError", exitCode: 2 });
    return (error as Error).message.replace(`${folder}/`, "");
  }
  return "no error";
}

describe("reading a configuration", () => {
  it("turns LlamaFactory's example into typed values", () => {
    const path = file(`### model
model_name_or_path: meta-llama/Llama-3
trust_remote_code: true
### method
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: q_proj, v_proj
### dataset
dataset: identity,alpaca_en_demo
template: llama3
cutoff_len: 2048
max_samples: 1000
overwrite_cache: true
preprocessing_num_workers: 16
### output
output_dir: saves/llama3-8b/lora/sft
logging_steps: 10
save_steps: 500
plot_loss: true
### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
report_to: none  # choices: [none, wandb]
resume_from_checkpoint: null
`);
    const { config, warnings } = loadConfig([path]);
    expect(config).toMatchObject({
      dataset: ["identity", "alpaca_en_demo"],
      loraTarget: ["q_proj", "v_proj"],
      loraAlpha: 16,
      learningRate: 1e-4,
      warmupRatio: 0.1,
      adamBeta1: 0.9,
      optim: "adamw_torch",
      resumeFromCheckpoint: false,
      splitSpecialTokens: true,
      bf16: true,
    });
    expect(warnings).toEqual([
      "accepted, without effect here: trust_remote_code, overwrite_cache, preprocessing_num_workers, ddp_timeout",
    ]);
  });

  it("reads JSON files, and the same keys from an object", () => {
    const text = JSON.stringify({ ...base, lr_scheduler_type: "polynomial", lr_scheduler_kwargs: { power: 2 } });
    const fromFile = loadConfig([file(text, "lora.json")]).config;
    expect(fromFile.lrSchedulerKwargs).toEqual({ power: 2 });
    const settings = { ...base, lr_scheduler_type: "polynomial", lr_scheduler_kwargs: { power: 2 } };
    expect(makeConfig(settings).config).toEqual(fromFile);
  });

  it("takes overrides as key=value, --key value, --key=value and lone flags; the last one wins", () => {
    const words = ["lora_rank=4", "--lora-rank", "16", "--lora_dropout=0.1", "--packing", "--max_steps", "-1"];
    const { config } = loadConfig([
      file(baseText),
      ...words,
      'lr_scheduler_kwargs={"num_cycles": 2}',
      "lr_scheduler_type=cosine",
    ]);
    expect(config).toMatchObject({ loraRank: 16, loraDropout: 0.1, packing: true, packingAsked: true, maxSteps: -1 });
    expect(config.lrSchedulerKwargs).toEqual({ num_cycles: 2 });
  });

  it("works from flags alone", () => {
    const words = Object.entries(base).flatMap(([key, value]) => [`--${key}`, String(value)]);
    expect(loadConfig(words).config.outputDir).toBe("saves/docker");
  });

  it("survives a structured clone, as it must reach a worker", () => {
    const { config } = makeConfig(base);
    expect(structuredClone(config)).toEqual(config);
  });

  it("reads the text forms of numbers and flags that PyYAML files hold", () => {
    const { config } = loadConfig([
      file(`${baseText}learning_rate: "1e-4"\nweight_decay: 1E-2\nplot_loss: "yes"\neval_strategy: false\n`),
    ]);
    expect(config).toMatchObject({ learningRate: 1e-4, weightDecay: 0.01, plotLoss: true, evalStrategy: "no" });
  });

  it("derives what depends on other keys as transformers does", () => {
    const words = {
      eval_strategy: "steps",
      val_size: 0.1,
      load_best_model_at_end: true,
      logging_steps: 10,
      save_steps: 20,
    };
    const { config } = makeConfig({ ...base, ...words });
    expect(config).toMatchObject({ doEval: true, evalSteps: 10, metricForBestModel: "loss", greaterIsBetter: false });
    expect(makeConfig({ ...base, warmup_steps: 0.1 }).config).toMatchObject({ warmupRatio: 0.1, warmupSteps: 0 });
    expect(makeConfig({ ...base, stage: "pt" }).config).toMatchObject({ packing: true, packingAsked: false });
    expect(makeConfig({ ...base, include_num_input_tokens_seen: true }).config.includeNumInputTokensSeen).toBe("all");
    expect(makeConfig({ ...base, optim: "adamw_bnb_8bit" }).config.optim).toBe("adamw_8bit");
    const plain = { ...base, optim: "sgd", optim_args: "momentum = 0.9, nesterov = false" };
    expect(makeConfig(plain).config.optimArgs).toEqual({ momentum: 0.9, nesterov: false });
    expect(makeConfig({ ...base, optim: "sgd", optim_args: "momentum=0.9,nesterov=True" }).config.optimArgs).toEqual({
      momentum: 0.9,
      nesterov: true,
    });
  });

  it("reads the special tokens of another file, with what they mean", () => {
    const tokens = file("<svg>: a drawing begins\n'</svg>': a drawing ends\n", "tokens.yaml");
    const { config } = loadConfig([file(`${baseText}new_special_tokens_config: ${tokens}\n`)]);
    expect(config.newSpecialTokensConfig).toEqual({ "<svg>": "a drawing begins", "</svg>": "a drawing ends" });
    expect(makeConfig(base).config.newSpecialTokensConfig).toEqual({});
    const broken = file("<svg>: [1]\n", "broken.yaml");
    expect(() => loadConfig([file(`${baseText}new_special_tokens_config: ${broken}\n`)])).toThrow(
      'broken.yaml:1:8: "<svg>": a list of 1 is no description; write a text',
    );
    const empty = file("", "empty.yaml");
    expect(() => loadConfig([file(`${baseText}new_special_tokens_config: ${empty}\n`)])).toThrow(
      "names no token; add one",
    );
  });

  it("takes LoRA+ with LoRA and a schedule of the steps alone", () => {
    const plus = { ...base, loraplus_lr_ratio: 16 };
    expect(makeConfig(plus).config).toMatchObject({ loraplusLrRatio: 16, loraplusLrEmbedding: 1e-6 });
    for (const [words, refusal] of [
      [{ finetuning_type: "full" }, "loraplus_lr_ratio with finetuning_type: full; use finetuning_type: lora"],
      [{ finetuning_type: "freeze", adapter_name_or_path: "a" }, "an adapter with finetuning_type: freeze"],
      [{ lr_scheduler_type: "greedy", val_size: 0.1, eval_strategy: "steps" }, "greedy, which has one learning rate"],
      [{ learning_rate: 0 }, "loraplus_lr_ratio with learning_rate 0; set a learning_rate"],
      [{ optim: "lion_32bit", optim_args: "momentum=0.9" }, "optim_args are for optim: sgd; remove them"],
    ] as const)
      expect(() => makeConfig({ ...plus, ...words }), refusal).toThrow(refusal);
  });

  it("accepts a refused key at the value that switches it off, and ignores it in silence", () => {
    const { warnings } = makeConfig({
      ...base,
      use_galore: false,
      quantization_bit: null,
      pref_beta: 0.1,
      deepspeed: null,
    });
    expect(warnings).toEqual([]);
  });

  it("needs less for chat than for training", () => {
    expect(makeConfig({ model_name_or_path: "model.gguf" }, "chat").config.modelNameOrPath).toBe("model.gguf");
  });
});

describe("one wrong line", () => {
  const cases: [what: string, line: string, message: string][] = [
    ["a misspelt key", "learning_ratee: 1", '5:1: unknown key "learning_ratee"; did you mean learning_rate?'],
    ["an older name", "evaluation_strategy: no", '5:1: unknown key "evaluation_strategy"; did you mean eval_strategy?'],
    ["a key of no kind", "zzzzzzzz: 1", '5:1: unknown key "zzzzzzzz"; see `temper help keys`'],
    ["a prototype key", "__proto__: 1", '5:1: unknown key "__proto__"; see `temper help keys`'],
    [
      "a refused key",
      "export_quantization_bit: 4",
      "5:1: export_quantization_bit: 4 is not supported by this version; remove it: weights are quantised on load alone, by quantization_bit",
    ],
    [
      "a refused flag",
      "use_galore: true",
      "5:1: use_galore: true is not supported by this version; remove it: the only optimizers are AdamW, Adafactor, Lion and SGD",
    ],
    ["a refused choice", "stage: ppo", '5:8: stage: "ppo" is not allowed; use one of sft, pt, dpo, rm'],
    [
      "smoothing of another loss",
      "stage: dpo\npref_loss: hinge\ndpo_label_smoothing: 0.1",
      "7:22: dpo_label_smoothing with pref_loss: hinge; use pref_loss: sigmoid",
    ],
    [
      "a reference for a loss without one",
      "stage: dpo\npref_loss: orpo\nref_model: other",
      "7:12: ref_model with pref_loss: orpo; remove it: this loss has no reference",
    ],
    ["a reference outside stage dpo", "ref_model: other", "5:12: ref_model outside stage dpo; remove it"],
    [
      "adapters of no reference",
      "stage: dpo\nref_model_adapters: other",
      "6:21: ref_model_adapters without ref_model; name the model they belong to",
    ],
    [
      "bits of no reference",
      "stage: dpo\nref_model_quantization_bit: 4",
      "6:29: ref_model_quantization_bit without ref_model; name the model to quantise",
    ],
    [
      "two adapters on a quantised reference",
      "stage: dpo\nref_model: other\nref_model_adapters: a,b\nref_model_quantization_bit: 4",
      "7:21: several adapters on a quantised ref_model; merge all but the last first: merging leaves the codec",
    ],
    [
      "noise on pairs",
      "stage: dpo\nneftune_noise_alpha: 5",
      "6:22: neftune_noise_alpha with stage: dpo; remove it: both passes over a pair must see the same",
    ],
    [
      "new tokens and a frozen copy",
      "stage: dpo\nfinetuning_type: full\nresize_vocab: true",
      "7:15: new tokens and a reference model beside the trained one; use an adapter without ref_model",
    ],
    [
      "bits that another library has",
      "quantization_method: eetq\nquantization_bit: 4",
      "6:19: quantization_bit: 4 with quantization_method: eetq; use quantization_bit: 8",
    ],
    [
      "a way to quantise without bits",
      "quantization_method: eetq",
      "5:22: quantization_method: eetq without quantization_bit; set quantization_bit: 8",
    ],
    [
      "a 4-bit code of another library",
      "quantization_method: eetq\nquantization_bit: 8\nquantization_type: fp4",
      "7:20: quantization_type: fp4 with quantization_method: eetq; remove it",
    ],
    [
      "new tokens of a quantised model",
      "quantization_bit: 4\nresize_vocab: true",
      "6:15: new tokens with quantization_bit; add the tokens to the unquantised model first",
    ],
    ["packing of pairs to score", "stage: rm\npacking: true", "6:10: packing outside stages sft and pt; remove it"],
    [
      "neat packing of pairs to score",
      "stage: rm\nneat_packing: true",
      "6:15: neat_packing outside stage sft; remove it",
    ],
    ["a reference for scores", "stage: rm\nref_model: other", "6:12: ref_model outside stage dpo; remove it"],
    [
      "answers of a reward model",
      "stage: rm\npredict_with_generate: true\nval_size: 1",
      "6:24: predict_with_generate outside stage sft; remove it",
    ],
    ["packing of pairs", "stage: dpo\npacking: true", "6:10: packing outside stages sft and pt; remove it"],
    ["another logger", "report_to: wandb", '5:1: report_to: "wandb" is not supported by this version; use none'],
    [
      "another attention",
      "flash_attn: fa2",
      '5:1: flash_attn: "fa2" is not supported by this version; use auto, sdpa, disabled',
    ],
    [
      "a word for a number",
      "lora_rank: many",
      '5:12: lora_rank: "many" is not allowed; use an integer from 1 to 65536',
    ],
    ["NaN", "learning_rate: .nan", "5:16: learning_rate: NaN is not allowed; use a number from 0 to 1e+30"],
    ["infinity", "learning_rate: .inf", "5:16: learning_rate: Infinity is not allowed; use a number from 0 to 1e+30"],
    [
      "a number too large to hold",
      "learning_rate: 1e400",
      "5:16: learning_rate: Infinity is not allowed; use a number from 0 to 1e+30",
    ],
    ["a negative rate", "learning_rate: -1", "5:16: learning_rate: -1 is not allowed; use a number from 0 to 1e+30"],
    [
      "zero where it must be above",
      "per_device_train_batch_size: 0",
      "5:30: per_device_train_batch_size: 0 is not allowed; use an integer from 1 to 65536",
    ],
    [
      "a huge integer",
      "lora_rank: 99999999999999999999",
      "5:12: lora_rank: 100000000000000000000 is not allowed; use an integer from 1 to 65536",
    ],
    [
      "a fraction for an integer",
      "lora_rank: 1.5",
      "5:12: lora_rank: 1.5 is not allowed; use an integer from 1 to 65536",
    ],
    [
      "a list for a number",
      "lora_rank: [1]",
      "5:12: lora_rank: a list of 1 is not allowed; use an integer from 1 to 65536",
    ],
    [
      "an aliased value",
      "template: &t x\ndefault_system: *t",
      "6:17: aliases (*) are not supported; write the value out",
    ],
    ["a merge key", "<<: {__proto__: 1}", "5:1: merge keys (<<) are not supported; write the settings out"],
    ["a tag", "template: !!js/function 'x'", "5:11: Unresolved tag: tag:yaml.org,2002:js/function; correct the YAML"],
    ["a key given twice", "lora_rank: 4\nlora_rank: 8", "6:1: Map keys must be unique; correct the YAML"],
    [
      "a tab as indentation",
      "lr_scheduler_kwargs:\n\tpower: 1",
      "6:1: Tabs are not allowed as indentation; correct the YAML",
    ],
    ["a second document", "---\nlora_rank: 4", "5:1: a second document begins; keep one configuration per file"],
    ["interpolation", "output_dir: ${HOME}/x", "5:13: ${...} interpolation is not supported; write the value out"],
    [
      "a NUL character",
      'output_dir: "a\\0b"',
      '5:13: output_dir: "a\\u0000b" is not allowed; use a text of 1 to 4096 characters',
    ],
    [
      "a contradiction",
      "mask_history: true\ntrain_on_prompt: true",
      "5:15: mask_history and train_on_prompt exclude each other; keep one",
    ],
    ["f16 and bf16", "fp16: true\nbf16: true", "5:7: fp16 and bf16 exclude each other; keep one"],
    ["f16 and pure bf16", "fp16: true\npure_bf16: true", "5:7: fp16 and pure_bf16 exclude each other; keep one"],
    [
      "an optimizer that keeps f32",
      "pure_bf16: true\noptim: adamw_8bit",
      "6:8: optim: adamw_8bit with pure_bf16; use adamw_torch, lion_32bit or sgd",
    ],
    ["evaluation without data", "do_eval: true", "evaluation or prediction without data; set eval_dataset or val_size"],
    [
      "an adapter in a full run",
      "finetuning_type: full\nadapter_name_or_path: x",
      "6:23: an adapter with finetuning_type: full; use finetuning_type: lora",
    ],
    [
      "both ways to cut OFT's blocks",
      "finetuning_type: oft\noft_rank: 4",
      "6:11: oft_rank 4 with oft_block_size 32; set one of them to 0, the other above it",
    ],
    [
      "neither way to cut BOFT's blocks",
      "finetuning_type: boft\nboft_block_size: 0",
      "boft_block_num 0 with boft_block_size 0; set one of them to 0, the other above it",
    ],
    [
      "a feed-forward module that is no target",
      "finetuning_type: ia3\nfeedforward_modules: up_proj",
      "6:22: feedforward_modules names up_proj, which ia3_target does not; name it in both; with ia3_target: all, write feedforward_modules: []",
    ],
    [
      "DoRA of another method",
      "finetuning_type: loha\nuse_dora: true",
      "6:11: use_dora with finetuning_type: loha; use finetuning_type: lora",
    ],
    [
      "PiSSA of another method",
      "finetuning_type: loha\npissa_init: true",
      "6:13: pissa_init with finetuning_type: loha; use finetuning_type: lora",
    ],
    [
      "dropout of a method that has none",
      "finetuning_type: loha\nlora_dropout: 0.1",
      "6:15: lora_dropout with finetuning_type: loha; LoHa has no dropout; remove it",
    ],
    [
      "an unknown schedule option",
      "lr_scheduler_kwargs: {power: 1}",
      '5:22: lr_scheduler_kwargs: linear has no "power"; it takes none',
    ],
  ];

  it.each(cases)("%s is named with its place", (_what, line, message) => {
    const text = line.startsWith("output_dir") ? baseText.replace(/output_dir.*\n/, "seed: 1\n") : baseText;
    const expected = /^\d/.test(message) ? `lora.yaml:${message}` : message;
    expect(failure(() => loadConfig([file(`${text}${line}\n`)]))).toBe(expected);
  });

  it("20,000 brackets, and 20,000 dashes, are refused with a line and without exhausting the stack", () => {
    const brackets = `${baseText}lora_target: ${"[".repeat(20_000)}${"]".repeat(20_000)}\n`;
    expect(failure(() => loadConfig([file(brackets)]))).toBe(
      "lora.yaml:5:45: nested deeper than 32; settings are flat: remove the nesting",
    );
    const dashes = `${baseText}lora_target:\n  ${"- ".repeat(20_000)}x\n`;
    expect(failure(() => loadConfig([file(dashes)]))).toMatch(/^lora\.yaml:6:\d+: nested deeper than 32/);
  });

  it("files that are missing, folders, not UTF-8 or too large are named", () => {
    expect(failure(() => loadConfig([join(folder, "no.yaml")]))).toBe(
      "no.yaml: no such file; check the path of the configuration",
    );
    writeFileSync(join(folder, "latin.yaml"), Buffer.from([0x61, 0x3a, 0x20, 0xe9]));
    expect(failure(() => loadConfig([join(folder, "latin.yaml")]))).toMatch(/not UTF-8/);
    writeFileSync(join(folder, "big.yaml"), Buffer.alloc((1 << 20) + 1, "#"));
    expect(failure(() => loadConfig([join(folder, "big.yaml")]))).toMatch(/too large/);
  });

  it("an invalid command line is named", () => {
    expect(failure(() => loadConfig(["--lora_rank"]))).toBe(
      "command line: --lora_rank has no value; give an integer from 1 to 65536",
    );
    expect(failure(() => loadConfig(["--lora_rank="]))).toMatch(/"lora_rank" has no value/);
    expect(failure(() => loadConfig(["a.yaml", "b.yaml"]))).toMatch(/two configuration files/);
    expect(failure(() => loadConfig(["what"]))).toMatch(/"what" is not understood/);
    expect(failure(() => loadConfig(["lora_rank=x"]))).toMatch(/^command line: lora_rank: "x" is not allowed/);
  });
});

describe("help", () => {
  it("says what a key is, allows and defaults to, or why it is refused", () => {
    expect(help("lora_rank")).toBe(
      "lora_rank: Rank r of the adapter. Allowed: an integer from 1 to 65536. Default: 8.",
    );
    expect(help("use_galore")).toMatch(/not supported by this version/);
    expect(help("fp16_full_eval")).toMatch(/computed in f32/);
    expect(help("nothing")).toBeUndefined();
  });
});
