// training_loss.svg: the raw curve in grey, the smoothed one in blue, as LlamaFactory's plot shows them.
import { figure } from "./text.ts";

export interface PlotPoint {
  step: number;
  value: number;
}

const size = { width: 720, height: 420, left: 64, right: 20, top: 36, bottom: 48 };

/** Exponential moving average of TensorBoard with LlamaFactory's weight 1.8 · (σ(0.05 · n) − 0.5). */
export function smooth(values: readonly number[]): number[] {
  const weight = 1.8 * (1 / (1 + Math.exp(-0.05 * values.length)) - 0.5);
  let last = values[0] ?? 0;
  return values.map((value) => (last = last * weight + (1 - weight) * value));
}

/** A curve as a stand-alone SVG document. Points whose value is not finite are left out. */
export function lossPlot(points: readonly PlotPoint[], label = "loss"): string {
  const shown = points.filter(({ value }) => Number.isFinite(value));
  const values = shown.map(({ value }) => value);
  const scale = scales(shown);
  const smoothed = smooth(values).map((value, i) => ({ step: shown[i]?.step ?? 0, value }));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    `<text x="${size.width / 2}" y="22" text-anchor="middle" font-size="14">training ${escapeXml(label)}</text>`,
    ...axes(scale),
    curve(shown, scale, "#b0b0b0"),
    curve(smoothed, scale, "#1f77b4"),
    ...legend(),
    `</svg>\n`,
  ].join("\n");
}

interface Scales {
  x: (step: number) => number;
  y: (value: number) => number;
  steps: number[];
  values: number[];
}

function range(numbers: readonly number[]): [min: number, max: number] {
  const min = numbers.reduce((a, b) => Math.min(a, b), Infinity);
  const max = numbers.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!Number.isFinite(min)) return [0, 1];
  return min === max ? [min - 0.5, max + 0.5] : [min, max];
}

function scales(points: readonly PlotPoint[]): Scales {
  const [s0, s1] = range(points.map(({ step }) => step));
  const [v0, v1] = range(points.map(({ value }) => value));
  const width = size.width - size.left - size.right;
  const height = size.height - size.top - size.bottom;
  const ticks = (a: number, b: number): number[] => [0, 1, 2, 3, 4].map((i) => a + ((b - a) * i) / 4);
  return {
    x: (step) => size.left + ((step - s0) / (s1 - s0)) * width,
    y: (value) => size.top + (1 - (value - v0) / (v1 - v0)) * height,
    steps: ticks(s0, s1),
    values: ticks(v0, v1),
  };
}

function axes({ x, y, steps, values }: Scales): string[] {
  const bottom = size.height - size.bottom;
  const right = size.width - size.right;
  return [
    `<path d="M${size.left} ${size.top}V${bottom}H${right}" fill="none" stroke="#444"/>`,
    ...values.map((v) => `<text x="${size.left - 6}" y="${round(y(v) + 4)}" text-anchor="end">${figure(v)}</text>`),
    ...steps.map((s) => `<text x="${round(x(s))}" y="${bottom + 18}" text-anchor="middle">${Math.round(s)}</text>`),
    `<text x="${(size.left + right) / 2}" y="${size.height - 10}" text-anchor="middle">step</text>`,
  ];
}

function curve(points: readonly PlotPoint[], { x, y }: Scales, color: string): string {
  const path = points.map(({ step, value }) => `${round(x(step))},${round(y(value))}`).join(" ");
  return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="1.5"/>`;
}

function legend(): string[] {
  const x = size.width - size.right - 90;
  const row = (y: number, color: string, name: string): string =>
    `<path d="M${x} ${y}h18" stroke="${color}" stroke-width="2"/><text x="${x + 24}" y="${y + 4}">${name}</text>`;
  return [row(size.top + 6, "#b0b0b0", "original"), row(size.top + 24, "#1f77b4", "smoothed")];
}

const round = (value: number): number => Math.round(value * 100) / 100;

function escapeXml(text: string): string {
  return text.replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
