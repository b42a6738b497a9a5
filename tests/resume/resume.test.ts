// A run that was stopped at a checkpoint or by a signal ends, continued, with the bytes and the log of one that nothing
// disturbed. Every run is a process of the real command line.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Box, requireBuild } from "../bad-input/box.ts";
import { checkpoints, common, complete, endOf, evaluated, expectSame, lora, resumeBox, stepOf, steps } from "./runs.ts";

const methods: [name: string, words: readonly string[]][] = [
  ["LoRA with dropout", lora],
  ["full", ["finetuning_type=full", ...evaluated]],
  ["LoRA, packed", [...lora, "packing=true", "cutoff_len=48"]],
  [
    "full, neat-packed, SGD with momentum",
    ["finetuning_type=full", "neat_packing=true", "cutoff_len=48", "optim=sgd", "optim_args=momentum=0.9"],
  ],
  [
    "the best model",
    [...lora, ...evaluated, "load_best_model_at_end=true", "save_total_limit=2", "learning_rate=0.02"],
  ],
  [
    "early stopping",
    [...lora, ...evaluated, "metric_for_best_model=loss", "early_stopping_steps=2", "learning_rate=0.05"],
  ],
  [
    "epochs, and a schedule that listens",
    [
      "lr_scheduler_type=reduce_lr_on_plateau",
      "warmup_steps=0",
      "eval_dataset=held",
      "eval_strategy=epoch",
      "save_strategy=epoch",
      "logging_strategy=epoch",
      "include_num_input_tokens_seen=true",
      "learning_rate=0.02",
    ],
  ],
  ["(IA)³", ["finetuning_type=ia3", "learning_rate=0.02"]],
  ["OFT", ["finetuning_type=oft", "oft_block_size=8", "learning_rate=0.01"]],
  ["BOFT", ["finetuning_type=boft", "boft_n_butterfly_factor=2", "learning_rate=0.01"]],
  ["LoRA with noise on a grown vocabulary", [...lora, "add_special_tokens=<|new|>", "neftune_noise_alpha=5"]],
  [
    "pairs of answers, full, beside a frozen copy",
    [
      "stage=dpo",
      "dataset=pairs",
      "finetuning_type=full",
      "learning_rate=0.002",
      "eval_dataset=pairs",
      "eval_strategy=steps",
      "eval_steps=5",
    ],
  ],
  ["a reward model", ["stage=rm", "dataset=pairs", "learning_rate=0.002"]],
  ["plain text", ["stage=pt", "dataset=text", "cutoff_len=16", "finetuning_type=full"]],
];

let box: Box;
beforeAll(() => {
  requireBuild();
  box = resumeBox();
});
afterAll(() => box.dispose());

describe.each(methods)("%s", (name, words) => {
  const folder = name.replace(/\W+/g, "-");
  const whole = `${folder}/whole`;
  beforeAll(async () => {
    await complete(box, [...words, `output_dir=${whole}`]);
  });

  it("continued from a checkpoint ends the same", async () => {
    const [first = "", second = first] = checkpoints(box, whole);
    const from = stepOf(second) < steps ? second : first;
    const again = `${folder}/again`;
    await complete(box, [...words, `output_dir=${again}`, `resume_from_checkpoint=${whole}/${from}`]);
    const [end, wanted] = [endOf(box, again), endOf(box, whole)];
    expect(end.state).toEqual(wanted.state);
    expect(end.logged).toEqual(wanted.logged.filter(([step]) => Number(step) > stepOf(from)));
    expect(end.weights).toEqual(wanted.weights);
  });

  it("stopped by SIGTERM and continued ends the same", async () => {
    const out = `${folder}/stopped`;
    const run = box.start([...common, ...words, `output_dir=${out}`]);
    await run.until(/step \d+\/40/);
    run.process.kill("SIGTERM");
    expect((await run.done).code).toBe(143);
    expect(stepOf(checkpoints(box, out).at(-1) ?? "")).toBeLessThan(steps);
    await complete(box, [...words, `output_dir=${out}`, "resume_from_checkpoint=true"]);
    expectSame(box, out, whole);
  });
});
