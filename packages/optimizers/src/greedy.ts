import type { LearningRate } from "./learning-rate.ts";
import type { OptionReader } from "./options.ts";
import { finite, readComparison } from "./plateau.ts";

/** GreedyLR (arXiv 2512.14527, transformers 5.18): divides by `factor` while the metric improves, multiplies when it stops. */
export class Greedy implements LearningRate {
  readonly needsMetric = true;
  readonly #better: (value: number, best: number) => boolean;
  readonly #worst: number;
  readonly #initial: number;
  readonly #factor: number;
  readonly #patience: number;
  readonly #cooldown: number;
  readonly #warmup: number;
  readonly #minimum: number;
  readonly #maximum: number;
  readonly #epsilon: number;
  readonly #resetAfter: number;
  readonly #window: number;
  #recent: number[] = [];
  #rate: number;
  #best: number;
  #good = 0;
  #bad = 0;
  #coolingDown = 0;
  #warmingUp = 0;
  #untilReset: number;

  constructor(learningRate: number, options: OptionReader) {
    const { better, worst } = readComparison(options, 1e-6, "abs");
    this.#better = better;
    this.#worst = worst;
    this.#best = worst;
    this.#initial = learningRate;
    this.#rate = learningRate;
    this.#factor = options.number("factor", 0.95);
    this.#patience = options.number("patience", 10);
    this.#cooldown = options.number("cooldown", 0);
    this.#warmup = options.number("warmup", 0);
    this.#minimum = options.number("min_lr", 1e-3);
    this.#maximum = options.number("max_lr", 1);
    this.#epsilon = options.number("eps", 1e-8);
    const window = options.number("window_size", 50);
    this.#window = options.boolean("smooth", false) ? window : 1;
    this.#resetAfter = options.number("reset_start", 500);
    this.#untilReset = this.#resetAfter;
    options.boolean("verbose", false);
  }

  at(): number {
    return this.#rate;
  }

  observe(metric: number): void {
    const value = this.#smoothed(metric);
    if (this.#coolingDown > 0) this.#wait("coolingDown");
    else if (this.#warmingUp > 0) this.#wait("warmingUp");
    else this.#judge(value);
  }

  #smoothed(metric: number): number {
    this.#recent = [...this.#recent, metric].slice(-this.#window);
    return this.#recent.reduce((sum, value) => sum + value, 0) / this.#recent.length;
  }

  #wait(counter: "coolingDown" | "warmingUp"): void {
    if (counter === "coolingDown") this.#coolingDown--;
    else this.#warmingUp--;
    this.#good = 0;
    this.#bad = 0;
  }

  #judge(value: number): void {
    if (this.#better(value, this.#best)) {
      this.#best = value;
      this.#bad = 0;
      this.#good++;
    } else {
      this.#bad++;
      this.#good = 0;
    }
    if (this.#good > this.#patience) this.#raise();
    else if (this.#bad > this.#patience) this.#lower();
  }

  #raise(): void {
    const higher = Math.min(this.#rate / this.#factor, this.#maximum);
    if (higher - this.#rate > this.#epsilon) this.#rate = higher;
    this.#untilReset = this.#resetAfter;
    this.#warmingUp = this.#warmup;
    this.#good = 0;
  }

  #lower(): void {
    const lower = Math.max(this.#rate * this.#factor, this.#minimum);
    if (this.#rate - lower > this.#epsilon) this.#rate = lower;
    this.#untilReset -= this.#rate > this.#minimum ? 0 : 1;
    if (this.#untilReset <= 0) this.#restart();
    this.#coolingDown = this.#cooldown;
    this.#bad = 0;
  }

  #restart(): void {
    this.#rate = this.#initial;
    this.#best = this.#worst;
    this.#good = 0;
    this.#warmingUp = 0;
    this.#untilReset = this.#resetAfter;
    this.#recent = [];
  }

  state(): Record<string, number> {
    const recent = Object.fromEntries(this.#recent.map((value, index) => [`recent${index}`, value]));
    const counters = {
      good: this.#good,
      bad: this.#bad,
      coolingDown: this.#coolingDown,
      warmingUp: this.#warmingUp,
    };
    return {
      rate: this.#rate,
      untilReset: this.#untilReset,
      ...finite(this.#best),
      ...counters,
      ...recent,
    };
  }

  load(state: Readonly<Record<string, number>>): void {
    this.#rate = state["rate"] ?? this.#rate;
    this.#best = state["best"] ?? this.#best;
    this.#untilReset = state["untilReset"] ?? this.#resetAfter;
    this.#good = state["good"] ?? 0;
    this.#bad = state["bad"] ?? 0;
    this.#coolingDown = state["coolingDown"] ?? 0;
    this.#warmingUp = state["warmingUp"] ?? 0;
    this.#recent = [];
    for (let index = 0; state[`recent${index}`] !== undefined; index++) this.#recent.push(state[`recent${index}`] ?? 0);
  }
}
