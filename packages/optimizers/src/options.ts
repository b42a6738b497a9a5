import { OptimizersError } from "./errors.ts";

/** `lr_scheduler_kwargs` as it stands in the configuration. */
export type ScheduleOptions = Readonly<Record<string, unknown>>;

/** Reads options one by one; `done` refuses those that nobody asked for, as the Python function would. */
export class OptionReader {
  readonly #owner: string;
  readonly #options: ScheduleOptions;
  readonly #asked = new Set<string>();

  constructor(owner: string, options: ScheduleOptions) {
    this.#owner = owner;
    this.#options = options;
  }

  number(key: string, fallback: number): number {
    return this.optionalNumber(key) ?? fallback;
  }

  optionalNumber(key: string): number | undefined {
    const value = this.#take(key);
    if (value === undefined || value === null) return undefined;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    throw this.#bad(key, value, "a finite number");
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.#take(key) ?? fallback;
    if (typeof value === "boolean") return value;
    throw this.#bad(key, value, "true or false");
  }

  choice<T extends string>(key: string, choices: readonly T[], fallback: T): T {
    const value = this.#take(key) ?? fallback;
    const found = choices.find((choice) => choice === value);
    if (found !== undefined) return found;
    throw this.#bad(key, value, `one of ${choices.join(", ")}`);
  }

  done(): void {
    const unknown = Object.keys(this.#options).find((key) => !this.#asked.has(key));
    if (unknown === undefined) return;
    const known = [...this.#asked].join(", ") || "none";
    throw new OptimizersError(
      "BAD_OPTION",
      `lr_scheduler_kwargs: ${this.#owner} has no option ${unknown}`,
      `its options: ${known}`,
    );
  }

  #take(key: string): unknown {
    this.#asked.add(key);
    return this.#options[key];
  }

  #bad(key: string, value: unknown, wanted: string): OptimizersError {
    return new OptimizersError(
      "BAD_OPTION",
      `lr_scheduler_kwargs.${key}: got ${JSON.stringify(value)}`,
      `give ${wanted}`,
    );
  }
}
