// Answers before, training, answers after, over the held-out Docker questions; the same runs that `temper train` makes.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { loadConfig, type RunConfig } from "@welltempered/config";
import type { RunEvent } from "@welltempered/events";
import { computeWithSignals, signalCodes, type StopSignal } from "../compute.ts";
import type { Context } from "../context.ts";
import { answerLines, answersOf, exactMatch, questionsOf, spread, textPlot } from "../demo-report.ts";
import { UsageError } from "../errors.ts";
import { packageFolder } from "../package-folder.ts";

const root = fileURLToPath(new URL("../../", packageFolder));
const recipes = { tiny: "examples/docker-demo.yaml", smollm2: "examples/docker-smollm2.yaml" } as const;
type Model = keyof typeof recipes;

interface Options {
  model: Model;
  rows: number;
  overrides: string[];
}

/** Ended by a signal: the process exits with its code. */
class Stopped extends Error {
  override readonly name: string = "UserError";
  readonly exitCode: number;

  constructor(signal: StopSignal) {
    super("stopped");
    this.exitCode = signalCodes[signal];
  }
}

/** `temper demo`: returns the exit code. */
export async function demo(words: string[], context: Context): Promise<number> {
  const { model, rows, overrides } = readOptions(words);
  process.chdir(checkout(recipes[model]));
  const base = model === "smollm2" ? [`model_name_or_path=${await fetchModel(context)}`] : [];
  const say = (text: string): void => void (context.json || context.print(text));
  const seconds: Record<string, number> = {};
  const timed = async <T>(phase: string, work: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    const result = await work();
    seconds[phase] = Math.round((performance.now() - start) / 10) / 100;
    context.settle();
    return result;
  };
  const tuned = `saves/demo-${model}`;
  const recipe = [recipes[model], "report_to=none", ...base, ...overrides];
  const run = (extra: readonly string[], listen = context.listen): Promise<RunConfig> =>
    perform([...recipe, ...extra], context, listen);

  const losses: number[] = [];
  const remember = (event: RunEvent): void => {
    if (event.type === "log") losses.push(event.loss);
    context.listen(event);
  };

  say(
    `Before: ${model === "tiny" ? "the bundled base model" : "SmolLM2-135M-Instruct"} on held-out Docker questions\n`,
  );
  const before = await timed("before", async () => predictions(await run(predict(`${tuned}-before`))));
  const questions = questionsOf(readFileSync(join(root, "examples/data/docker_test.json"), "utf8"));
  const shown = spread(Math.min(questions.length, before.length), rows);
  say(answerLines(questions, before, shown));
  say(
    `  exact match ${exactMatch(before).toFixed(1)} % of ${before.length}  (${seconds["before"]} s)\n\nTraining on examples/data/docker_train.json\n`,
  );

  const config = await timed("train", () => run(train(tuned), remember));
  say(`${textPlot(losses)}  (${seconds["train"]} s)\n\nAfter\n`);

  const result = config.finetuningType === "full" ? `model_name_or_path=${tuned}` : `adapter_name_or_path=${tuned}`;
  const after = await timed("after", async () => predictions(await run([...predict(`${tuned}-after`), result])));
  say(answerLines(questions, after, shown));
  const match = { before: exactMatch(before), after: exactMatch(after) };
  say(
    `  exact match ${match.after.toFixed(1)} % of ${after.length}, ${match.before.toFixed(1)} % before  (${seconds["after"]} s)\n\n`,
  );
  say(nextSteps(recipes[model], base, result));
  if (context.json)
    context.print(
      `${JSON.stringify({ demo: model, rows: after.length, exact_match: match, seconds, output_dir: tuned })}\n`,
    );
  return 0;
}

function readOptions(words: readonly string[]): Options {
  const options: Options = { model: "tiny", rows: 5, overrides: [] };
  for (let i = 0; i < words.length; i++) {
    const [name, attached] = (words[i] ?? "").split("=", 2);
    if (name === "--model") options.model = modelOf(attached ?? words[++i]);
    else if (name === "--rows") options.rows = rowsOf(attached ?? words[++i]);
    else options.overrides.push(words[i] ?? "");
  }
  return options;
}

function modelOf(word: string | undefined): Model {
  if (word === "tiny" || word === "smollm2") return word;
  throw new UsageError(`--model ${JSON.stringify(word ?? "")} is unknown; use tiny or smollm2`);
}

function rowsOf(word: string | undefined): number {
  const count = Number(word);
  if (Number.isInteger(count) && count > 0) return count;
  throw new UsageError(`--rows ${JSON.stringify(word ?? "")} is no count; use a whole number from 1`);
}

function checkout(recipe: string): string {
  if (existsSync(join(root, recipe))) return root;
  throw new UsageError(`${recipe}: no such file; run the demo in a checkout of the repository`);
}

async function fetchModel(context: Context): Promise<string> {
  context.note("SmolLM2-135M-Instruct: using the cache, or downloading 93 MB once");
  const tool = (await import(pathToFileURL(join(root, "tools/fetch-smollm2.mjs")).href)) as FetchTool;
  return tool.fetchSmolLM2();
}

interface FetchTool {
  fetchSmolLM2: () => Promise<string>;
}

const evaluation = [
  "do_eval=false",
  "eval_strategy=no",
  "load_best_model_at_end=false",
  "val_size=0",
  "early_stopping_steps=null",
];

function predict(output: string): string[] {
  const task = [
    "do_train=false",
    "do_predict=true",
    "predict_with_generate=true",
    "do_sample=false",
    "plot_loss=false",
  ];
  return [...evaluation, ...task, "eval_dataset=docker_test", "resume_from_checkpoint=null", ...folder(output)];
}

function train(output: string): string[] {
  const task = ["do_train=true", "do_predict=false", "predict_with_generate=false", "eval_dataset=null"];
  return [...evaluation, ...task, "resume_from_checkpoint=null", ...folder(output)];
}

function folder(output: string): string[] {
  return [`output_dir=${output}`, "overwrite_output_dir=true"];
}

async function perform(words: readonly string[], context: Context, onEvent: Context["listen"]): Promise<RunConfig> {
  const { config } = loadConfig(words, "train");
  const { outcome, signal } = await computeWithSignals({ task: "train", config, onEvent }, context.note);
  if (signal && outcome.reason === "stopped") throw new Stopped(signal);
  return config;
}

function predictions({ outputDir = "" }: RunConfig): ReturnType<typeof answersOf> {
  return answersOf(readFileSync(join(outputDir, "generated_predictions.jsonl"), "utf8"));
}

function nextSteps(recipe: string, base: readonly string[], result: string): string {
  const words = [recipe, ...base].join(" ");
  return `Next
  npx temper chat ${words} ${result}
  npx temper export ${words} ${result} export_dir=merged
  npx temper train ${words} output_dir=saves/mine lora_rank=16
`;
}
