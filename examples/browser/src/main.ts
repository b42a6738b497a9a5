// The page: what is shown, and which task runs. One runs at a time; meanwhile the buttons that start another are off.
import { duration } from "@welltempered/events";
import { Chat } from "./chat.ts";
import { LossChart } from "./loss-chart.ts";
import { ModelInWorker, type Between } from "./model.ts";
import type { Opened, Settings } from "./protocol.ts";
import { showRows, type Answers, type View } from "./rows-table.ts";
import { whyNotHere } from "./support.ts";
import "./style.css";

const find = <T extends HTMLElement>(id: string): T => {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element as T;
};
const put = (id: string, text: string): void => void (find(id).textContent = text);

const start = find<HTMLButtonElement>("start");
const stop = find<HTMLButtonElement>("stop");
const send = find<HTMLButtonElement>("send");
const epochs = find<HTMLInputElement>("epochs");
const question = find<HTMLInputElement>("question");
const progress = find<HTMLProgressElement>("progress");
const tabs: Record<View, HTMLElement> = { held: find("tab-held"), train: find("tab-train") };

const suggestions = [
  "List the running containers",
  "Run nginx detached under the name web",
  "Follow the logs of api",
  "Open a shell in the container api",
];

const chart = new LossChart(find("chart"));
const chat = new Chat(find("chat"));
const model = new ModelInWorker();

interface Shown {
  opened: Opened | undefined;
  view: View;
  answers: Answers;
  /** "base", or "tuned" after so many steps. */
  who: string;
  ready: boolean;
}

const shown: Shown = { opened: undefined, view: "held", answers: {}, who: "base", ready: false };

/** Keys in the page's address win over the recipe's: `?num_train_epochs=2&max_samples=96`. */
const fromAddress: Settings = Object.fromEntries(new URLSearchParams(location.search));
epochs.value = String(fromAddress["num_train_epochs"] ?? epochs.value);
const settings = (): Settings => ({ ...fromAddress, num_train_epochs: epochs.valueAsNumber });

function setReady(ready: boolean): void {
  shown.ready = ready;
  start.disabled = send.disabled = !ready;
  for (const button of find("suggestions").querySelectorAll("button")) button.disabled = !ready;
}

/** Runs a task with the buttons off; what goes wrong is one line in the page. */
async function busy(work: () => Promise<void>): Promise<void> {
  setReady(false);
  try {
    await work();
    setReady(true);
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error));
  }
}

function fail(message: string): void {
  put("fault", message);
  find("fault").hidden = false;
  put("status", "Stopped by an error");
  document.body.dataset["state"] = "failed";
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
const millions = (count: number): string => `${(count / 1e6).toFixed(2)} M`;
const percent = (value: number): string => `${value.toFixed(1)} %`;

function onLoading(message: Between): void {
  if (message.type !== "fetched") return;
  progress.value = message.total > 0 ? message.done / message.total : 0;
  put("status", `Fetching the model: ${megabytes(message.done)} of ${megabytes(message.total)}`);
}

function onExam(message: Between): void {
  if (message.type !== "event" || message.event.type !== "progress") return;
  const { done, total } = message.event;
  put("memory", megabytes(message.moduleBytes));
  put("status", `Asking the held-out questions: ${done} of ${total}`);
}

function onTraining(message: Between): void {
  if (message.type !== "event" || message.event.type !== "log") return;
  const { step, totalSteps, loss, gradNorm, tokensPerSecond, secondsRemaining } = message.event;
  progress.value = step / totalSteps;
  chart.add(step, loss);
  put("status", `Step ${step} of ${totalSteps}, ${duration(Math.ceil(secondsRemaining))} left`);
  put("loss", loss.toFixed(3));
  put("norm", gradNorm.toFixed(2));
  put("speed", tokensPerSecond.toFixed(0));
  put("memory", megabytes(message.moduleBytes));
}

/** The model with a fresh adapter and the settings of now. */
async function open(): Promise<void> {
  const opened = await model.open(settings(), onLoading);
  shown.opened = opened;
  const facts = [
    `${millions(opened.allParameters - opened.trainableParameters)} parameters`,
    `LoRA: ${millions(opened.trainableParameters)}`,
    opened.device,
    "nothing leaves this tab",
  ];
  find("facts").replaceChildren(
    ...facts.map((text) => Object.assign(document.createElement("li"), { textContent: text })),
  );
  put("count-held", String(opened.held.length));
  put("count-train", String(opened.train.length));
  showView(shown.view);
  chart.reset(opened.totalSteps);
}

async function exam(which: keyof Answers, place: string): Promise<void> {
  const { answers, exactMatch } = await model.exam(onExam);
  shown.answers = { ...shown.answers, [which]: answers };
  put(place, percent(exactMatch));
  showView(shown.view);
}

function showView(view: View): void {
  shown.view = view;
  for (const [name, tab] of Object.entries(tabs)) tab.setAttribute("aria-selected", String(name === view));
  const rows = shown.opened?.[view] ?? [];
  showRows(find("rows"), view, rows, shown.answers);
}

async function train(): Promise<void> {
  forget();
  await open();
  start.hidden = true;
  stop.hidden = false;
  const began = performance.now();
  try {
    await model.train(onTraining);
  } finally {
    start.hidden = false;
    stop.hidden = true;
  }
  const seconds = (performance.now() - began) / 1000;
  const steps = chart.lastStep;
  shown.who = `tuned, ${steps} steps`;
  put("who", `the model after ${steps} steps`);
  await exam("after", "match-after");
  await offer();
  progress.value = 1;
  put("status", `${steps} steps in ${duration(Math.round(seconds))}`);
  document.body.dataset["state"] = "trained";
}

/** Takes back what an earlier run showed. */
function forget(): void {
  shown.who = "base";
  put("who", "the base model");
  shown.answers = { before: shown.answers.before };
  put("match-after", "–");
  document.body.dataset["state"] = "training";
}

/** Links to the files of the adapter. */
async function offer(): Promise<void> {
  const links = [...(await model.adapter())]
    .filter(([name]) => name !== "README.md")
    .map(([name, bytes]) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([bytes as BlobPart]));
      link.download = name;
      link.textContent = `${name} `;
      const size = document.createElement("span");
      size.textContent = bytes.length > 1e5 ? `${(bytes.length / 1e6).toFixed(1)} MB` : `${bytes.length} bytes`;
      link.append(size);
      return link;
    });
  find("files").className = "links";
  find("files").replaceChildren(...links);
}

const ask = (words: string): Promise<void> =>
  busy(() => chat.ask(words, shown.who, (onToken) => model.ask(words, onToken)));

for (const words of suggestions) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = words;
  button.disabled = true;
  button.addEventListener("click", () => void ask(words));
  find("suggestions").append(button);
}
find("prompt").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = question.value.trim();
  if (words === "" || !shown.ready) return;
  question.value = "";
  void ask(words);
});
find("settings").addEventListener("submit", (event) => {
  event.preventDefault();
  if (shown.ready) void busy(train);
});
stop.addEventListener("click", () => {
  put("status", "Stopping after this step");
  model.stop();
});
for (const [view, tab] of Object.entries(tabs)) tab.addEventListener("click", () => showView(view as View));

const reason = whyNotHere();
if (reason !== undefined) fail(reason);
else
  void busy(async () => {
    await open();
    await exam("before", "match-before");
    progress.value = 0;
    put("status", "Ready");
    document.body.dataset["state"] = "ready";
  });
