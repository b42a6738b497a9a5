import type { LearningRate } from "./learning-rate.ts";
import type { OptionReader } from "./options.ts";

/** Whether a metric beats the best one by more than the threshold (torch ReduceLROnPlateau.is_better). */
export function readComparison(
  options: OptionReader,
  threshold: number,
  kind: "rel" | "abs",
): { better(value: number, best: number): boolean; worst: number } {
  const smaller = options.choice("mode", ["min", "max"], "min") === "min";
  const margin = options.number("threshold", threshold);
  const relative = options.choice("threshold_mode", ["rel", "abs"], kind) === "rel";
  const better = (value: number, best: number): boolean => {
    if (smaller) return value < (relative ? best * (1 - margin) : best - margin);
    return value > (relative ? best * (1 + margin) : best + margin);
  };
  return { better, worst: smaller ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY };
}

/** The best metric so far, absent before the first: JSON has no infinity. */
export function finite(best: number): Record<string, number> {
  return Number.isFinite(best) ? { best } : {};
}

/** torch.optim.lr_scheduler.ReduceLROnPlateau: multiplies by `factor` after more than `patience` metrics without a new best. */
export class Plateau implements LearningRate {
  readonly needsMetric = true;
  readonly #better: (value: number, best: number) => boolean;
  readonly #factor: number;
  readonly #patience: number;
  readonly #cooldown: number;
  readonly #minimum: number;
  readonly #epsilon: number;
  #rate: number;
  #best: number;
  #bad = 0;
  #coolingDown = 0;

  constructor(learningRate: number, options: OptionReader) {
    const { better, worst } = readComparison(options, 1e-4, "rel");
    this.#better = better;
    this.#best = worst;
    this.#factor = options.number("factor", 0.1);
    this.#patience = options.number("patience", 10);
    this.#cooldown = options.number("cooldown", 0);
    this.#minimum = options.number("min_lr", 0);
    this.#epsilon = options.number("eps", 1e-8);
    this.#rate = learningRate;
  }

  at(): number {
    return this.#rate;
  }

  observe(metric: number): void {
    if (this.#better(metric, this.#best)) {
      this.#best = metric;
      this.#bad = 0;
    } else this.#bad++;
    if (this.#coolingDown > 0) {
      this.#coolingDown--;
      this.#bad = 0;
    }
    if (this.#bad > this.#patience) this.#reduce();
  }

  #reduce(): void {
    const lower = Math.max(this.#rate * this.#factor, this.#minimum);
    if (this.#rate - lower > this.#epsilon) this.#rate = lower;
    this.#coolingDown = this.#cooldown;
    this.#bad = 0;
  }

  state(): Record<string, number> {
    return {
      rate: this.#rate,
      bad: this.#bad,
      coolingDown: this.#coolingDown,
      ...finite(this.#best),
    };
  }

  load(state: Readonly<Record<string, number>>): void {
    this.#rate = state["rate"] ?? this.#rate;
    this.#best = state["best"] ?? this.#best;
    this.#bad = state["bad"] ?? 0;
    this.#coolingDown = state["coolingDown"] ?? 0;
  }
}
