// A forecast as a table for people.

import type { Forecast } from "@welltempered/trainer";

type Line = readonly [name: string, value: string, note?: string];

export function planText({ model, data, memory, availableMemory, changes, time, machine }: Forecast): string {
  const { peak, ...parts } = memory;
  const share = (100 * model.trainable) / Math.max(1, model.parameters);
  const lines: Line[] = [
    ["model", millions(model.parameters), `${millions(model.trainable)} of them train, ${share.toPrecision(2)} %`],
    ...Object.entries(parts).map(([name, bytes]): Line => [`  ${name}`, gigabytes(bytes)]),
    ["peak memory", gigabytes(peak), `of ${gigabytes(availableMemory)} that are available`],
    ...changes.map(({ settings, peak: left }): Line => ["  does not fit:", gigabytes(left), `with ${settings}`]),
    ["tokens a step", String(time.tokensPerStep), lengthsOf(data)],
    ["seconds a step", time.secondsPerStep.toPrecision(3), speed(time)],
    ["steps", time.steps === undefined ? "?" : String(time.steps)],
    ["run", time.seconds === undefined ? "?" : duration(time.seconds), "evaluation and saving apart"],
    ["machine", machine.device, `${giga(machine.flopPerSecond)} GFLOP/s in these products`],
  ];
  return `${aligned(lines)}\n`;
}

function aligned(lines: readonly Line[]): string {
  const width = Math.max(...lines.map(([name]) => name.length));
  return lines
    .map(
      ([name, value, note]) => `${name.padEnd(width)}  ${note === undefined ? value : `${value.padEnd(9)}  ${note}`}`,
    )
    .join("\n");
}

function lengthsOf({ lengths, examples }: Forecast["data"]): string {
  return lengths === "dataset" ? `${examples} examples of the data set` : "as cutoff_len allows: no dataset is named";
}

const speed = ({ tokensPerStep, secondsPerStep }: Forecast["time"]): string =>
  `${(tokensPerStep / secondsPerStep).toFixed(0)} tokens/s`;

const giga = (count: number): string => (count / 1e9).toFixed(0);
const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
const millions = (count: number): string => `${(count / 1e6).toFixed(1)} M`;

function duration(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(0)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
