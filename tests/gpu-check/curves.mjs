// Twenty steps of a tiny Llama on the device, against this machine's CPU and against transformers + peft.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "@welltempered/config";
import { runTraining } from "@welltempered/trainer";
import { root } from "../../tools/lib.mjs";
import { relative } from "./distance.mjs";

const common = [
  `model_name_or_path=${join(root, "fixtures/qlora/model")}`,
  `dataset_dir=${join(root, "fixtures/llamafactory/data")}`,
  "dataset=alpaca_plain",
  "template=chatml",
  "do_train=true",
  "max_steps=20",
  "save_strategy=no",
  "logging_steps=1",
  "per_device_train_batch_size=2",
  "finetuning_type=lora",
];
const ownStart = [
  "cutoff_len=64",
  "learning_rate=0.001",
  // A gradient of the size of epsilon would turn a last bit into a step.
  "adam_epsilon=0.00001",
  "lora_target=all",
];
/** As tools/python/qlora_rows.py. */
const sharedStart = [
  `adapter_name_or_path=${join(root, "fixtures/qlora/adapter")}`,
  "cutoff_len=256",
  "learning_rate=0.01",
  "weight_decay=0.1",
  "max_grad_norm=1",
  "lr_scheduler_type=cosine",
  "warmup_steps=2",
  "disable_shuffling=true",
];
const variants = {
  LoRA: [],
  QLoRA: ["quantization_bit=4", "double_quantization=true"],
  "LoRA, bf16": ["bf16=true"],
};

async function curve(folder, device, words) {
  const out = mkdtempSync(join(folder, `${device}-`));
  const { config } = loadConfig([...common, ...words, `device=${device}`, `output_dir=${out}`], "train");
  await runTraining(
    config,
    () => undefined,
    () => false,
  );
  const state = JSON.parse(readFileSync(join(out, "trainer_state.json"), "utf8"));
  const entries = state.log_history.filter(({ loss }) => loss !== undefined);
  return { losses: entries.map(({ loss }) => loss), gradNorms: entries.map(({ grad_norm: norm }) => norm) };
}

async function inFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), "gpu-check-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Each variant, as long as the share of the time lasts; what is left out says so. */
async function eachVariant(seconds, work) {
  const [results, end] = [[], performance.now() + 1000 * seconds];
  for (const [name, words] of Object.entries(variants))
    results.push({ name, ...(performance.now() < end ? await work(name, words) : { note: "cut: no time was left" }) });
  return results;
}

/** The device's curves and this CPU's. LoRA has dropout: its stream must be the CPU's too. */
export const training = ({ seconds }) =>
  inFolder((folder) =>
    eachVariant(seconds, async (name, words) => {
      const all = [...ownStart, ...words, ...(name === "LoRA" ? ["lora_dropout=0.1"] : [])];
      return { ours: await curve(folder, "cuda", all), theirs: await curve(folder, "cpu", all) };
    }),
  );

/** The device's curves from the adapter and over the rows of tools/python/gpu_curves.py. */
export const sharedCurves = ({ seconds }) =>
  inFolder((folder) =>
    eachVariant(seconds, async (_, words) => ({ ours: await curve(folder, "cuda", [...sharedStart, ...words]) })),
  );

/** Those of `sharedCurves` beside the lines of gpu_curves.py; bitsandbytes' own of the fixtures where it is missing. */
export function besideReference(ours, lines) {
  const kept = JSON.parse(readFileSync(join(root, "fixtures/qlora/curves.json"), "utf8"))["nf4-double"];
  const keptCurve = { losses: kept.map(({ loss }) => loss), gradNorms: kept.map(({ grad_norm: norm }) => norm) };
  return ours.map((each) => {
    if (each.ours === undefined) return each;
    const { error, ...theirs } = lines.find(({ name }) => name === each.name) ?? { error: "no answer" };
    if (error === undefined) return { ...each, theirs };
    if (each.name !== "QLoRA") return { ...each, note: error };
    return { ...each, theirs: keptCurve, note: `${error}; beside fixtures/qlora/curves.json` };
  });
}

/** Largest relative distance of losses and of gradient norms. */
export const apart = ({ ours, theirs }) => ({
  loss: relative(ours.losses, theirs.losses),
  gradNorm: relative(ours.gradNorms, theirs.gradNorms),
});
