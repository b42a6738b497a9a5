// The run folder as LlamaFactory leaves it: logs while it runs, results and plot at its end.

import { writeFileAtomic } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import { lossPlot, trainerLog, type Emit, type RunEvent } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { toTrainerState, type LogEntry, type RunFacts, type RunState } from "../state.ts";

/** Folders of checkpoints in a run folder, oldest first. */
export function checkpointsIn(folder: string): { path: string; step: number }[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .flatMap((name) => {
      const match = /^checkpoint-(\d{1,15})$/.exec(name);
      return match === null ? [] : [{ path: join(folder, name), step: Number(match[1]) }];
    })
    .sort((a, b) => a.step - b.step);
}

/** Makes the folder, or says why it may not be used. @throws {UserError} */
export function prepareRunFolder(folder: string): void {
  try {
    makeFolders(folder);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const file = code === "EEXIST" || code === "ENOTDIR" || code === "ENAMETOOLONG";
    throw new UserError(`output_dir: ${folder} cannot be made (${code}); choose another folder`, file ? 2 : 3);
  }
}

/** One level at a time: Node's `recursive` never returns where the file system refuses a name (`/proc/x`). */
function makeFolders(folder: string): void {
  if (existsSync(folder) && statSync(folder).isDirectory()) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolders(parent);
  mkdirSync(folder);
}

/** Refuses a folder that holds something, unless it is to be overwritten or continued. @throws {UserError} */
export function checkRunFolder({ outputDir, overwriteOutputDir, doTrain, resumeFromCheckpoint }: RunConfig): void {
  if (outputDir === undefined || !existsSync(outputDir)) return;
  if (!statSync(outputDir).isDirectory())
    throw new UserError(`output_dir: ${outputDir} is a file; choose another folder`);
  if (overwriteOutputDir || !doTrain || resumeFromCheckpoint !== false) return;
  if (checkpointsIn(outputDir).length > 0) return;
  const inside = readdirSync(outputDir).filter((name) => !name.startsWith(".temper-lock") && !name.endsWith(".lock"));
  if (inside.length > 0)
    throw new UserError(
      `output_dir: ${outputDir} is not empty; set overwrite_output_dir: true or choose another folder`,
    );
}

/** A listener that appends to trainer_log.jsonl, behind what it holds up to `step`, in front of the caller's own. */
export function withTrainerLog(folder: string, step: number, emit: Emit): Emit {
  const file = join(folder, "trainer_log.jsonl");
  writeFileSync(file, existsSync(file) ? linesUpTo(readFileSync(file, "utf8"), step) : "");
  const line = trainerLog();
  return (event: RunEvent) => {
    const entry = line(event);
    if (entry !== undefined) appendFileSync(file, `${JSON.stringify(entry)}\n`);
    emit(event);
  };
}

/** What a run that was killed logged after its last checkpoint will be logged again. */
function linesUpTo(text: string, step: number): string {
  const lines = text.split(/(?<=\n)/).filter((line) => line.endsWith("\n"));
  const stepOf = (line: string): number => Number(/"current_steps":\s*(\d+)/.exec(line)?.[1] ?? Infinity);
  return lines.filter((line) => stepOf(line) <= step).join("");
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

export async function writeTrainerState(folder: string, state: RunState, facts: RunFacts): Promise<void> {
  await writeFileAtomic(join(folder, "trainer_state.json"), json(toTrainerState(state, facts)));
}

/** `<kind>_results.json`, and the same keys in all_results.json. */
export async function writeResults(
  folder: string,
  kind: "train" | "eval" | "predict",
  metrics: Readonly<Record<string, number>>,
): Promise<void> {
  await writeFileAtomic(join(folder, `${kind}_results.json`), json(metrics));
  const all = join(folder, "all_results.json");
  const before = existsSync(all) ? (JSON.parse(readFileSync(all, "utf8")) as Record<string, number>) : {};
  await writeFileAtomic(all, json({ ...before, ...metrics }));
}

/** training_loss.svg and, where there were evaluations or rewards, training_eval_loss.svg, training_eval_accuracy.svg and training_rewards_accuracies.svg. */
export async function writePlots(folder: string, history: readonly LogEntry[]): Promise<void> {
  for (const [key, label] of [
    ["loss", "loss"],
    ["eval_loss", "eval loss"],
    ["rewards/accuracies", "pairs ranked right"],
    ["eval_accuracy", "held-out pairs ranked right"],
  ] as const) {
    const points = history.flatMap((entry) =>
      entry[key] === undefined ? [] : [{ step: entry["step"] ?? 0, value: entry[key] }],
    );
    if (points.length > 0)
      await writeFileAtomic(join(folder, `training_${key.replace("/", "_")}.svg`), lossPlot(points, label));
  }
}
