import { DataError } from "../errors.ts";
import { Pcg64 } from "../random/pcg64.ts";

/** How several datasets become one. */
export type MixStrategy = "concat" | "interleave_under" | "interleave_over";

export interface MixOptions {
  strategy: MixStrategy;
  /** Chance of each dataset at every draw; without it they take turns. */
  probabilities: readonly number[] | undefined;
  seed: number;
}

/** Item `index` of dataset `source`. */
type Pick = readonly [source: number, index: number];

function takeTurns(lengths: readonly number[], rounds: number): Pick[] {
  return Array.from({ length: rounds }, (_, round) =>
    lengths.map((length, source): Pick => [source, round % length]),
  ).flat();
}

/** Upper limits of each dataset's share of [0, 1). */
function shares(probabilities: readonly number[]): number[] {
  let sum = 0;
  const cumulative = probabilities.map((probability) => (sum += probability));
  return cumulative.map((limit) => limit / sum);
}

/** Draws datasets at random until one (or, oversampling, each) was read to its end; the draws are `default_rng(seed).choice`'s. */
function drawSources(
  lengths: readonly number[],
  probabilities: readonly number[],
  oversample: boolean,
  seed: number,
): Pick[] {
  const random = new Pcg64([seed]);
  const limits = shares(probabilities);
  const next = lengths.map(() => 0);
  const exhausted = new Set<number>();
  const picks: Pick[] = [];
  while (exhausted.size < (oversample ? lengths.length : 1)) {
    const draw = random.uniform();
    const source = limits.findIndex((limit) => draw < limit);
    const index = next[source] ?? 0;
    picks.push([source, index]);
    const isLast = index + 1 === lengths[source];
    next[source] = isLast ? 0 : index + 1;
    if (isLast) exhausted.add(source);
  }
  return picks;
}

function checkProbabilities(probabilities: readonly number[], numDatasets: number): void {
  const sum = probabilities.reduce((total, probability) => total + probability, 0);
  if (probabilities.length !== numDatasets) {
    throw new DataError(
      "option",
      "interleave_probs",
      `has ${probabilities.length} values for ${numDatasets} datasets`,
      "give one a dataset",
    );
  }
  if (probabilities.some((probability) => !(probability > 0)) || Math.abs(sum - 1) > 1e-8) {
    throw new DataError("option", "interleave_probs", "must be above 0 and add up to 1", "change the values");
  }
}

function pickOrder(lengths: readonly number[], { strategy, probabilities, seed }: MixOptions): Pick[] {
  const oversample = strategy === "interleave_over";
  if (probabilities) {
    checkProbabilities(probabilities, lengths.length);
    return drawSources(lengths, probabilities, oversample, seed);
  }
  return takeTurns(lengths, oversample ? Math.max(...lengths) : Math.min(...lengths));
}

/** One list of rows from several, in the order `datasets.interleave_datasets` gives, or one after another. */
export function mixDatasets<T>(datasets: readonly (readonly T[])[], options: MixOptions): T[] {
  if (options.strategy === "concat" || datasets.length < 2) return datasets.flat();
  const order = pickOrder(
    datasets.map((rows) => rows.length),
    options,
  );
  return order.flatMap(([source, index]) => datasets[source]?.[index] ?? []);
}
