import type { RunState } from "./state.ts";

export interface BestSettings {
  metricForBestModel: string | undefined;
  greaterIsBetter: boolean;
  earlyStoppingSteps: number | undefined;
}

/** The metric's key in an evaluation, with its `eval_` prefix. */
export const metricKey = (name: string): string => (name.startsWith("eval_") ? name : `eval_${name}`);

/**
 * Compares an evaluation with the best one so far and counts the patience of early stopping (transformers'
 * EarlyStoppingCallback looks first, then the trainer updates the best).
 * @returns whether it is a new best, and whether to stop
 */
export function judge(
  state: RunState,
  metrics: Readonly<Record<string, number>>,
  settings: BestSettings,
): { best: boolean; stop: boolean } {
  const { metricForBestModel, greaterIsBetter } = settings;
  const value = metricForBestModel === undefined ? undefined : metrics[metricKey(metricForBestModel)];
  if (value === undefined) return { best: false, stop: false };
  const { bestMetric } = state;
  const best = bestMetric === undefined || (greaterIsBetter ? value > bestMetric : value < bestMetric);
  state.patience = best ? 0 : state.patience + 1;
  if (best) {
    state.bestMetric = value;
    state.bestStep = state.step;
  }
  return { best, stop: isOutOfPatience(state, settings) };
}

/** Whether the run ends early: also asked of one that was killed between its last checkpoint and its end. */
export const isOutOfPatience = (
  { patience }: RunState,
  { earlyStoppingSteps }: Pick<BestSettings, "earlyStoppingSteps">,
): boolean => earlyStoppingSteps !== undefined && patience >= earlyStoppingSteps;
