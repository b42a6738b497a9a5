import { goodYaml, type Box } from "./box.ts";
import { commandLines, family, type BadInput } from "./case.ts";

const train = (...words: string[]): string[] => ["train", "run.yaml", ...words];

const keys = family<string>(
  "G1",
  /^error: run\.yaml:\d+:\d+: /,
  [
    ["an unknown key", "learning_ratee: 1"],
    ["a refused key", "export_quantization_bit: 4"],
    ["a bit width of no codec", "quantization_bit: 5"],
    ["a way to quantise of no codec", "quantization_method: hqq\nquantization_bit: 4"],
    ["a threshold of a codec that is not chosen", "llm_int8_threshold: 5"],
    ["all weights of a quantised model trained", "quantization_bit: 4\nfinetuning_type: full"],
    ["a key of the prototype", "__proto__: {x: 1}"],
  ],
  append,
);

const values = family<string>(
  "G2",
  /^error: run\.yaml:\d+:\d+: \w+: .* is not allowed; use /,
  [
    ["a word for a number", "warmup_steps: many"],
    ["NaN", "weight_decay: .nan"],
    ["infinity", "weight_decay: .inf"],
    ["a number below its range", "weight_decay: -1"],
    ["zero where it must be above", "gradient_accumulation_steps: 0"],
    ["1e400", "weight_decay: 1e400"],
    ["a huge integer", "seed: 999999999999999999999"],
    ["an optimizer of another version", "optim: lion_8bit"],
  ],
  append,
);

const yaml = family<string>(
  "G3",
  /^error: run\.yaml:\d+:\d+: /,
  [
    ["an alias bomb", aliasBomb()],
    ["20,000 brackets", `lora_target: ${"[".repeat(20_000)}${"]".repeat(20_000)}`],
    ["a key given twice", "lora_rank: 8"],
    ["a function tag", "lora_target: !!js/function 'function(){}'"],
    ["a merge key", "<<: {__proto__: {polluted: 1}}"],
    ["a tab", "lr_scheduler_kwargs:\n\tpower: 1"],
    ["garbage", "}{"],
  ],
  append,
);

const conflicts = family<string>(
  "G4",
  /^error: .*;/,
  [
    ["evaluation without data", "do_eval: true"],
    ["prediction without generation", "do_predict: true\nval_size: 0.5"],
    ["mask_history with train_on_prompt", "mask_history: true\ntrain_on_prompt: true"],
    ["an adapter in a full run", "adapter_name_or_path: x\nuse_rslora: true"],
    ["neat packing in pre-training", "neat_packing: true"],
    ["the best model of no evaluation", "load_best_model_at_end: true"],
  ],
  (box, line) => {
    const text = line.startsWith("adapter") ? goodYaml.replace("type: lora", "type: full") : goodYaml;
    box.write("run.yaml", `${line.startsWith("neat") ? text.replace("stage: sft", "stage: pt") : text}${line}\n`);
  },
);

const templates: BadInput[] = [
  {
    id: "G4",
    what: "a template whose tokens the model has no embedding for",
    args: train("template=chatml"),
    says: /template: chatml writes <\|im_end\|>/,
    spoil: (box) =>
      box.write("model/tokenizer.json", box.read("model/tokenizer.json").toString().replaceAll("im_end", "end")),
  },
];

const outputs: BadInput[] = [
  {
    id: "G5",
    what: "a run folder that holds a result",
    args: train(),
    says: /out/,
    spoil: (box) => box.write("out/adapter_model.safetensors", "x"),
  },
  {
    id: "G5",
    what: "a file for a run folder",
    args: train("output_dir=data/rows.json"),
    says: /is a file/,
    spoil: () => {},
  },
  {
    id: "G5",
    what: "a run folder below a file",
    args: train("output_dir=data/rows.json/x"),
    says: /through a file/,
    spoil: () => {},
  },
  {
    id: "G5",
    what: "a run folder inside the model",
    args: train("output_dir=model/out"),
    says: /model/,
    spoil: () => {},
  },
  { id: "G5", what: "the model as the run folder", args: train("output_dir=model"), says: /model/, spoil: () => {} },
  {
    id: "G5",
    what: "a run folder of 4,096 characters",
    args: train(`output_dir=${"a".repeat(4096)}`),
    says: /output_dir: .* is too long/,
    spoil: () => {},
  },
  {
    id: "G5",
    what: "a run folder where none can be made",
    args: train("output_dir=/proc/out"),
    exit: 3,
    says: /\/proc/,
    spoil: () => {},
  },
];

const words = commandLines("G6", [
  ["an unknown command", ["fine-tune"], /unknown command "fine-tune"; use one of train/],
  ["a command of the prototype", ["constructor"], /unknown command/],
  ["an unknown flag", train("--learning_ratee", "1"), /did you mean learning_rate/],
  ["a flag without a value", train("--learning_rate"), /has no value/],
  ["a flag with an empty value", train("--learning_rate="), /has no value/],
  ["two dashes alone", train("--"), /not understood/],
  ["two configurations", train("run.yaml"), /two configuration files/],
  ["a configuration that is missing", ["train", "no.yaml"], /no\.yaml: no such file/],
  ["a folder as configuration", ["train", "data/x.yaml"], /no such file/],
  ["no configuration", ["train"], /model_name_or_path/],
  ["chat without a model", ["chat"], /model_name_or_path/],
  ["export without a folder", ["export", "run.yaml"], /export_dir/],
  ["a question that is missing", ["chat", "run.yaml", "--once"], /--once/],
  ["control characters in a value", train("lora_rank=\u001b[31m1"), /\\u001b/],
  ["help on nothing", ["help", "zzz"], /no help/],
]);

const memory: BadInput[] = [
  {
    id: "K3",
    what: "no native library where the CPU is asked for",
    env: { TEMPER_KERNELS_PATH: "/nope.node", TEMPER_DEVICE: "cpu" },
    exit: 3,
    says: /native kernels/,
    spoil: () => {},
  },
  { id: "G6", what: "an unknown TEMPER_DEVICE", env: { TEMPER_DEVICE: "gpu" }, says: /TEMPER_DEVICE/, spoil: () => {} },
  {
    id: "K1",
    what: "less memory than the run needs",
    env: { TEMPER_MEMORY_LIMIT: "100000" },
    exit: 3,
    says: /memory.*GB|GB.*memory/,
    spoil: () => {},
  },
  {
    id: "K1",
    what: "an allocator that runs out while the model loads",
    env: { TEMPER_FAULT: "memory:100000" },
    exit: 3,
    says: /no memory for .* bytes/,
    spoil: () => {},
  },
];

function append(box: Box, line: string): void {
  box.write("run.yaml", `${goodYaml}${line}\n`);
}

function aliasBomb(): string {
  const levels = Array.from(
    { length: 9 },
    (_, i) => `  - &a${i + 1} [${Array.from({ length: 9 }, () => `*a${i}`).join(", ")}]`,
  );
  return `lora_target:\n  - &a0 x\n${levels.join("\n")}`;
}

export const configCases: readonly BadInput[] = [
  ...keys,
  ...values,
  ...yaml,
  ...conflicts,
  ...templates,
  ...outputs,
  ...words,
  ...memory,
];
