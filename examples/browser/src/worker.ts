// All work happens here: the kernels' module, the model, the loop. The page only draws.
import { configFromText } from "@welltempered/config";
import { loadWasm, memoryBytes } from "@welltempered/kernels";
import { exactMatch, openTuner, type Tuner } from "@welltempered/trainer";
import recipe from "../../docker-demo.yaml?raw";
import { fetchFiles, type Fetched } from "./files.ts";
import type { FromWorker, Opened, Result, Row, Settings, ToWorker } from "./protocol.ts";

const post = (message: FromWorker): void => self.postMessage(message);

/** Loaded once; the tuner is made anew for each run. */
let loaded: Promise<Fetched> | undefined;
let tuner: Tuner | undefined;
let stopping = false;

async function load(): Promise<Fetched> {
  const [files] = await Promise.all([fetchFiles((done, total) => post({ type: "fetched", done, total })), loadWasm()]);
  return files;
}

/** What the page adds to the recipe: every step in the curve, and the held-out questions. */
const own = { logging_steps: 1, eval_dataset: "docker_test", do_predict: true, predict_with_generate: true };

async function open(settings: Settings): Promise<Opened> {
  tuner?.dispose();
  const engine = tuner?.engine;
  tuner = undefined;
  const { model, data } = await (loaded ??= load());
  const { config } = configFromText(recipe, "docker-demo.yaml", { ...own, ...settings });
  const opened = await openTuner({ config, model, data, engine, emit: tell });
  tuner = opened;
  return {
    type: "opened",
    device: opened.device,
    epochs: opened.plan.epochs,
    totalSteps: opened.plan.totalSteps,
    ...opened.parameters,
    train: opened.rows.train.map(shown),
    held: opened.rows.held.map(shown),
  };
}

const tell: Parameters<typeof openTuner>[0]["emit"] = (event) =>
  post({ type: "event", event, liveBytes: tuner?.engine.liveBytes() ?? 0, moduleBytes: memoryBytes() });

const shown = ({ prompt, response }: Tuner["rows"]["train"][number]): Row => ({
  question: prompt.at(-1)?.content ?? "",
  answer: response.at(0)?.content ?? "",
});

/** Lets messages in, a stop among them, before it says whether the run is to end. */
const asked = async (): Promise<boolean> => {
  await new Promise((resolve) => setTimeout(resolve));
  return stopping;
};

async function perform(task: Exclude<ToWorker, { type: "stop" }>): Promise<Result> {
  if (task.type === "open") return open(task.settings);
  if (tuner === undefined) throw new Error("the model is not open");
  switch (task.type) {
    case "exam": {
      const answers = await tuner.answers();
      return { type: "examined", answers: answers.map(({ predict }) => predict), exactMatch: exactMatch(answers) };
    }
    case "train": {
      stopping = false;
      const { reason } = await tuner.train(asked);
      return { type: "trained", stopped: reason === "stopped" };
    }
    case "ask":
      return {
        type: "answered",
        answer: await tuner.chat().send(task.question, (text) => post({ type: "token", text })),
      };
    case "adapter":
      return { type: "adapter", files: await tuner.adapterFiles() };
  }
}

self.onmessage = async ({ data: task }: MessageEvent<ToWorker>): Promise<void> => {
  if (task.type === "stop") {
    stopping = true;
    return;
  }
  try {
    post(await perform(task));
  } catch (error) {
    post({ type: "failed", message: error instanceof Error ? error.message : String(error) });
  }
};
