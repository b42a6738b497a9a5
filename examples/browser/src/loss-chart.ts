// The loss while it falls: every step thin, their moving average bold, as `temper`'s own plot shows them.
import { smooth } from "@welltempered/events";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

const height = 250;

export class LossChart {
  readonly #place: HTMLElement;
  #plot: uPlot | undefined;
  #steps: number[] = [];
  #losses: number[] = [];
  #totalSteps = 1;
  #drawing = 0;

  constructor(place: HTMLElement) {
    this.#place = place;
    new ResizeObserver(() => this.#plot?.setSize({ width: place.clientWidth, height })).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#make());
  }

  get lastStep(): number {
    return this.#steps.at(-1) ?? 0;
  }

  /** Empties it for a run of so many steps. */
  reset(totalSteps: number): void {
    this.#steps = [];
    this.#losses = [];
    this.#totalSteps = totalSteps;
    this.#make();
  }

  /** Draws at most once a frame, however fast steps come. */
  add(step: number, loss: number): void {
    this.#steps.push(step);
    this.#losses.push(loss);
    if (this.#drawing === 0) this.#drawing = requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    this.#drawing = 0;
    this.#plot?.setData(this.#data());
  }

  #data(): uPlot.AlignedData {
    return [this.#steps, this.#losses, smooth(this.#losses)];
  }

  #make(): void {
    this.#plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
    const axis = {
      stroke: colour("muted"),
      font: "12px system-ui, sans-serif",
      grid: { stroke: colour("line"), width: 1 },
      ticks: { stroke: colour("line"), width: 1, size: 4 },
    };
    const whole = (_: uPlot, values: number[]): string[] =>
      values.map((value) => (Number.isInteger(value) ? String(value) : ""));
    this.#plot = new uPlot(
      {
        width: this.#place.clientWidth,
        height,
        padding: [12, 12, 0, 0],
        legend: { show: false },
        cursor: { points: { size: 7 }, drag: { x: false, y: false } },
        scales: {
          x: { time: false, range: [0, this.#totalSteps] },
          y: { range: (_, _low, high) => [0, (high || 5) * 1.05] },
        },
        axes: [
          { ...axis, values: whole, size: 34, label: "step", labelSize: 18, labelFont: "12px system-ui, sans-serif" },
          { ...axis, size: 40 },
        ],
        series: [
          {},
          { stroke: colour("accent-soft"), width: 1, points: { show: false } },
          { stroke: colour("accent"), width: 2.5, points: { show: false } },
        ],
      },
      this.#data(),
      this.#place,
    );
  }
}
