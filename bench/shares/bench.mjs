// What of a step is optimizer, clipping and logging, and what is JavaScript: LoRA and full fine-tuning.
import { pythonEnvironment } from "../../tools/python/setup.mjs";
import { Child } from "../lib/child.mjs";
import { summary } from "../lib/statistics.mjs";
import { inputs } from "../lora-step/bench.mjs";
import { lora, shapes } from "../lora-step/shapes.mjs";
import { oursOn, settingsOf } from "../lora-step/variants.mjs";

const kinds = { lora: {}, "lora, bf16": { bf16: true }, full: { finetuning_type: "full" } };

/** Steps of one kind with every call of the backend timed: the last `rounds`, and of those before as many from the second on. */
async function sharesOf(keys, folder, { settle, rounds, threads }) {
  const child = new Child(process.execPath, oursOn(folder, threads, keys, "timed"));
  await child.answer();
  const answers = [];
  for (let step = 0; step < settle + rounds; step++) answers.push(await child.ask({ step }));
  await child.close();
  const timed = answers.slice(settle);
  const javaScript = (steps) => summary(steps.map(({ seconds, nativeSeconds }) => (seconds - nativeSeconds) / seconds));
  return {
    seconds: summary(timed.map(({ seconds }) => seconds)),
    update: summary(timed.map(({ seconds, updateSeconds }) => updateSeconds / seconds)),
    javaScript: javaScript(timed),
    javaScriptAtFirst: javaScript(answers.slice(1, 1 + rounds)),
    gradNorms: answers.map(({ gradNorm }) => gradNorm),
  };
}

/** V8 compiles what runs often: shares are those of the steps after the first `settle`, as all but the first of a run are. */
export async function run({ rounds = "7", settle = "20", threads = "2", shape = "135m" } = {}) {
  const { model, rows, length } = shapes[shape];
  const folder = inputs(pythonEnvironment(), { model, rows, length, steps: Number(settle) + Number(rounds), ...lora });
  const measured = {};
  for (const [kind, keys] of Object.entries(kinds))
    measured[kind] = await sharesOf(keys, folder, { settle: Number(settle), rounds: Number(rounds), threads });
  return {
    settings: { ...settingsOf({ rounds, threads, shape }), settle: Number(settle) },
    shares: measured,
    table: Object.entries(measured).flatMap(([kind, { seconds, update, javaScript, javaScriptAtFirst }]) => [
      [`${kind}: step`, `${seconds.median.toFixed(2)} s`],
      [`${kind}: optimizer, clipping, logging`, percent(update)],
      [`${kind}: JavaScript`, percent(javaScript)],
      [`${kind}: JavaScript, steps 2 to ${Number(rounds) + 1}`, percent(javaScriptAtFirst)],
    ]),
    goals: Object.entries(measured).flatMap(([kind, { update, javaScript }]) => [
      { what: `${kind}: optimizer, clipping and logging at most 3 % of the step`, reached: update.median <= 0.03 },
      { what: `${kind}: JavaScript at most 3 % of the step`, reached: javaScript.median <= 0.03 },
    ]),
  };
}

const percent = ({ median, range }) =>
  `${(100 * median).toFixed(2)} % (${range.map((x) => (100 * x).toFixed(2)).join(" … ")})`;
