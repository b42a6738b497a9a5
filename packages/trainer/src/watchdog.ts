// The one place that looks at numbers of every step. The device has already left all parameters alone where the loss
// or the gradient norm is not finite (see update.ts), so looking late is safe.

import { UserError } from "@welltempered/formats";
import type { Emit } from "@welltempered/events";
import { nextLossScale } from "@welltempered/optimizers";
import type { RunState } from "./state.ts";

/** More skipped steps in a row than this end the run. */
const longestSkip = 20;

export interface StepNumbers {
  loss: number;
  gradNorm: number;
  rowIds: readonly number[];
}

/**
 * Ends the run at a loss that is not finite; counts and reports a gradient that is not, and moves the loss scale by it.
 * @throws {UserError} exit code 4
 */
export function watch(state: RunState, step: number, { loss, gradNorm, rowIds }: StepNumbers, emit: Emit): void {
  const { lossScale } = state;
  const lower = lossScale === undefined ? "lower learning_rate" : "use bf16: true, lower learning_rate";
  if (!Number.isFinite(loss)) {
    throw new UserError(
      `step ${step}: the loss is ${loss} (${rowList(rowIds)}), no parameter was changed; ${lower} or look at these rows`,
      4,
    );
  }
  const overflowed = !Number.isFinite(gradNorm);
  state.lossScale = lossScale && nextLossScale(lossScale, overflowed);
  if (!overflowed) {
    state.skippedInRow = 0;
    return;
  }
  state.skipped++;
  state.skippedInRow++;
  const at = lossScale === undefined ? "" : ` at a loss scale of ${lossScale.scale}`;
  const message = `step ${step}: the gradient norm is ${gradNorm}${at} (${rowList(rowIds)}), step skipped, ${state.skipped} in all`;
  if (state.skippedInRow > longestSkip) {
    throw new UserError(`${message}, ${state.skippedInRow} in a row; ${lower} or look at these rows`, 4);
  }
  emit({ type: "notice", level: "warning", message });
}

function rowList(rowIds: readonly number[]): string {
  const shown = rowIds.slice(0, 16).join(", ");
  return `rows ${shown}${rowIds.length > 16 ? `, … ${rowIds.length} in all` : ""}`;
}
