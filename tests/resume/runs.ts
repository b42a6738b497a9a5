// Runs of the real command line on a small model, and what two of them must have in common.
import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { expect } from "vitest";
import { Box, goodRows, type Answer } from "../bad-input/box.ts";

/** 11 rows, two batches of one row an update: 6 updates an epoch, the last of one batch. */
const rows = 11;
export const steps = 40;
export const common: readonly string[] = [
  "train",
  "run.yaml",
  "per_device_train_batch_size=1",
  "gradient_accumulation_steps=2",
  `max_steps=${steps}`,
  "warmup_steps=4",
  "lr_scheduler_type=cosine",
  "weight_decay=0.1",
  "logging_steps=2",
  "save_strategy=steps",
  "save_steps=5",
  "seed=7",
];
export const lora: readonly string[] = ["lora_dropout=0.2"];
export const evaluated: readonly string[] = ["eval_dataset=held", "eval_strategy=steps", "eval_steps=5"];

/** A folder with rows to train on, rows to evaluate on, and plain text. */
export function resumeBox(): Box {
  const box = new Box();
  box.rows("rows.json", goodRows(rows));
  box.rows("held.json", goodRows(15).slice(rows));
  box.rows(
    "text.json",
    goodRows(30).map(({ instruction, output }) => ({ text: `${instruction}: ${output}` })),
  );
  box.rows(
    "pairs.json",
    goodRows(rows).map((row, index, all) => ({ ...row, worse: all[(index + 4) % rows]?.output ?? "" })),
  );
  box.write(
    "data/dataset_info.json",
    JSON.stringify({
      rows: { file_name: "rows.json" },
      held: { file_name: "held.json" },
      text: { file_name: "text.json", columns: { prompt: "text" } },
      pairs: {
        file_name: "pairs.json",
        ranking: true,
        columns: { prompt: "instruction", chosen: "output", rejected: "worse" },
      },
    }),
  );
  return box;
}

type Entry = Record<string, number>;

/** Seconds are the clock's, not the run's. */
const timeless = (entry: Entry): Entry =>
  Object.fromEntries(Object.entries(entry).filter(([key]) => !/_(runtime|per_second)$/.test(key)));

export interface End {
  weights: Record<string, string>;
  state: Record<string, unknown>;
  logged: (string | number | undefined)[][];
}

/** What must be equal: bytes of the weights, all of trainer_state.json and of trainer_log.jsonl but times. */
export function endOf(box: Box, folder: string): End {
  const read = (name: string): Buffer => box.read(`${folder}/${name}`);
  const weights = readdirSync(box.path(folder)).filter((name) => name.endsWith(".safetensors"));
  expect(weights.length).toBeGreaterThan(0);
  const state = JSON.parse(read("trainer_state.json").toString()) as {
    log_history: Entry[];
    best_model_checkpoint: string | null;
  };
  return {
    weights: Object.fromEntries(weights.map((name) => [name, read(name).toString("base64")])),
    state: {
      ...state,
      log_history: state.log_history.map(timeless),
      best_model_checkpoint: state.best_model_checkpoint && basename(state.best_model_checkpoint),
    },
    logged: read("trainer_log.jsonl")
      .toString()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Entry)
      .filter(({ loss, eval_loss }) => loss !== undefined || eval_loss !== undefined)
      .map(({ current_steps, loss, eval_loss, lr }) => [current_steps, loss, eval_loss, lr]),
  };
}

export function expectSame(box: Box, folder: string, whole: string): void {
  const [end, wanted] = [endOf(box, folder), endOf(box, whole)];
  expect(end.state).toEqual(wanted.state);
  expect(end.logged).toEqual(wanted.logged);
  // Not `toEqual`: nobody wants to read the difference.
  for (const [name, bytes] of Object.entries(wanted.weights)) expect(end.weights[name] === bytes, name).toBe(true);
}

export const stepOf = (path: string): number => Number(path.split("-").at(-1));

/** Names of the checkpoints of a folder, oldest first. */
export const checkpoints = (box: Box, folder: string): string[] =>
  readdirSync(box.path(folder))
    .filter((name) => /^checkpoint-\d+$/.test(name))
    .sort((a, b) => stepOf(a) - stepOf(b));

export async function complete(box: Box, words: readonly string[]): Promise<Answer> {
  const answer = await box.run([...common, ...words]);
  expect(answer).toMatchObject({ code: 0, stdout: "" });
  return answer;
}

/** mulberry32, for times that look random and are the same in every run of the tests. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
