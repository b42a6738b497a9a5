// What a person sees of a run. On a terminal one line is rewritten in place; piped, every log is a line of its own.
// Nothing is written here: the caller hands in `write` (standard error, so that results keep standard output).
import type { ExampleEvent, LogEvent, RunEvent, RunStartEvent, StepEvent } from "./index.ts";
import { duration, figure, oneLine, visible } from "./text.ts";

export interface TerminalOptions {
  write: (text: string) => void;
  /** Rewrite one line in place. */
  live: boolean;
  /** Width of the terminal in characters. */
  columns?: number;
}

interface Live {
  step: number;
  totalSteps: number;
  epoch: number;
  loss: number | undefined;
  learningRate: number | undefined;
  tokensPerSecond: number | undefined;
  metrics: Readonly<Record<string, number>>;
  secondsElapsed: number;
  startStep: number;
}

const clearLine = "\r\u001b[K";
const maxIds = 256;

/** A listener that draws the events of a run; `close` ends the line in place. */
export function terminal(options: TerminalOptions): { listen: (event: RunEvent) => void; close: () => void } {
  const { write, live, columns = 80 } = options;
  const state = fresh();
  const quick = quickPhases();
  let drawn = false;
  const erase = (): void => {
    if (drawn) write(clearLine);
    drawn = false;
  };
  const listen = (event: RunEvent): void => {
    follow(state, event);
    const line = plainLine(event);
    if (line !== undefined && !(live && passing(event)) && !quick(event)) {
      erase();
      write(`${line}\n`);
    }
    const now = live ? liveLine(event, state) : undefined;
    if (now === undefined) return;
    write(clearLine + now.slice(0, columns - 1));
    drawn = true;
  };
  return { listen, close: erase };
}

/** Tells which phases ended within two seconds: they are not worth a line. */
function quickPhases(): (event: RunEvent) => boolean {
  const started = new Map<string, number>();
  return (event) => {
    if (event.type !== "progress") return false;
    const now = performance.now();
    const start = started.get(event.what) ?? now;
    if (event.done === event.total) started.delete(event.what);
    else started.set(event.what, start);
    return now - start < 2000;
  };
}

/** Events that the live line shows anyway. */
function passing(event: RunEvent): boolean {
  return event.type === "log" || event.type === "progress";
}

function fresh(): Live {
  const unknown = { loss: undefined, learningRate: undefined, tokensPerSecond: undefined };
  return { step: 0, totalSteps: 0, epoch: 0, ...unknown, metrics: {}, secondsElapsed: 0, startStep: 0 };
}

function follow(state: Live, event: RunEvent): void {
  if (event.type === "run-start") Object.assign(state, fresh(), { step: event.startStep, startStep: event.startStep });
  if (event.type === "step") followStep(state, event);
  if (event.type === "log") {
    const { step, totalSteps, epoch, loss, learningRate, tokensPerSecond, secondsElapsed, metrics = {} } = event;
    Object.assign(state, { step, totalSteps, epoch, loss, learningRate, tokensPerSecond, secondsElapsed, metrics });
  }
}

function followStep(state: Live, { step, totalSteps, epoch, tokens, secondsElapsed }: StepEvent): void {
  const seconds = secondsElapsed - state.secondsElapsed;
  const tokensPerSecond = seconds > 0 && state.tokensPerSecond === undefined ? tokens / seconds : state.tokensPerSecond;
  Object.assign(state, { step, totalSteps, epoch, secondsElapsed, tokensPerSecond });
}

function liveLine(event: RunEvent, state: Live): string | undefined {
  if (event.type === "progress") return progressText(event.what, event.done, event.total);
  if (event.type !== "step" && event.type !== "log") return undefined;
  const done = state.step - state.startStep;
  const left = done > 0 ? ((state.totalSteps - state.step) * state.secondsElapsed) / done : 0;
  const parts = [
    `${bar(state.step, state.totalSteps)} step ${state.step}/${state.totalSteps}`,
    state.loss === undefined ? "" : `loss ${figure(state.loss)}`,
    state.learningRate === undefined ? "" : `lr ${figure(state.learningRate)}`,
    state.tokensPerSecond === undefined ? "" : `${Math.round(state.tokensPerSecond)} tok/s`,
    `${duration(left)} left`,
    metricsText(state.metrics),
  ];
  return parts.filter((part) => part !== "").join("  ");
}

function bar(done: number, total: number): string {
  const filled = total > 0 ? Math.round((10 * done) / total) : 0;
  return "█".repeat(filled) + "░".repeat(10 - filled);
}

function progressText(what: string, done: number, total: number): string {
  return total > 0 ? `${oneLine(what)} ${done}/${total}` : `${oneLine(what)} ${done}`;
}

/** An event as plain text, or undefined where it is not worth a line. */
export function plainLine(event: RunEvent): string | undefined {
  switch (event.type) {
    case "example":
      return exampleText(event);
    case "run-start":
      return startText(event);
    case "log":
      return logText(event);
    case "eval":
      return `step ${event.step}  ${metricsText(event.metrics)}`;
    case "checkpoint":
      return `step ${event.step}  saved ${oneLine(event.path)}`;
    case "notice":
      return `${event.level === "warning" ? "warning: " : ""}${oneLine(event.message)}`;
    case "progress":
      return event.total > 0 && event.done === event.total
        ? progressText(event.what, event.done, event.total)
        : undefined;
    case "run-end":
      return `${event.reason} at step ${event.step}  ${metricsText(event.metrics)}  in ${oneLine(event.outputDir)}`;
    case "step":
      return undefined;
    default:
      return event satisfies never;
  }
}

function startText(event: RunStartEvent): string {
  const { stage, device, examples, epochs, totalSteps, startStep, trainableParameters, allParameters } = event;
  const share = allParameters > 0 ? (100 * trainableParameters) / allParameters : 0;
  const from = startStep > 0 ? `, from step ${startStep}` : "";
  const parameters = `${trainableParameters.toLocaleString("en")} of ${allParameters.toLocaleString("en")} parameters`;
  return (
    `${stage} on ${oneLine(device)}; ${examples} examples, ${figure(epochs).replace(/\.?0+$/, "")} epochs, ` +
    `${totalSteps} steps${from}; training ${parameters} (${share.toFixed(2)} %)`
  );
}

function logText(event: LogEvent): string {
  const { step, totalSteps, epoch, loss, gradNorm, learningRate, tokensPerSecond, secondsRemaining } = event;
  const seen = event.inputTokensSeen === undefined ? "" : `  tokens ${event.inputTokensSeen}`;
  const metrics = event.metrics === undefined ? "" : `  ${metricsText(event.metrics)}`;
  return (
    `step ${step}/${totalSteps}  epoch ${epoch.toFixed(2)}  loss ${figure(loss)}  grad_norm ${figure(gradNorm)}  ` +
    `lr ${figure(learningRate)}  ${Math.round(tokensPerSecond)} tok/s  ${duration(secondsRemaining)} left${seen}${metrics}`
  );
}

function metricsText(metrics: Readonly<Record<string, number>>): string {
  return Object.entries(metrics)
    .map(([name, value]) => `${oneLine(name)} ${Number.isInteger(value) ? value : figure(value)}`)
    .join("  ");
}

function exampleText({ name, inputIds, inputs, labelIds, labels }: ExampleEvent): string {
  const counted = labelIds.filter((id) => id >= 0).length;
  return [
    `one training example${name === undefined ? "" : `, ${oneLine(name)}`}: ${inputIds.length} tokens, loss on ${counted}`,
    `input_ids: ${idsText(inputIds)}`,
    `inputs: ${visible(inputs)}`,
    `label_ids: ${idsText(labelIds)}`,
    `labels: ${visible(labels)}`,
  ].join("\n");
}

function idsText(ids: readonly number[]): string {
  const more = ids.length > maxIds ? ` … ${ids.length - maxIds} more` : "";
  return `[${ids.slice(0, maxIds).join(", ")}${more}]`;
}
