import { collateSft, type Example, type SftBatch } from "@welltempered/data";
import { linearCrossEntropy, takeRows, type Engine, type Tensor } from "@welltempered/tensor";
import type { Batch, LossResult, Objective, ObjectiveContext } from "../objective.ts";

export interface LanguageModelBatch extends Batch {
  rows: SftBatch["rows"];
  /** The token that follows each row, or −100 [N]. */
  labels: Int32Array;
}

export interface LanguageModelOptions {
  /** Multiple that Hugging Face's collator pads to; it decides token counts alone. */
  padToMultipleOf: number;
}

/**
 * Cross-entropy of the next token, −Σ log p(label), over labelled rows alone: only those reach the head.
 * The divisor counts labels before the shift, as transformers up to 5.6 and so LlamaFactory does.
 */
export function languageModelObjective(
  name: string,
  options: LanguageModelOptions,
): Objective<Example, LanguageModelBatch> {
  return {
    name,
    collate: (examples) => {
      const { rows, labels, labelCount, tokenCount, paddedTokenCount, rowIds } = collateSft(examples, options);
      return { rows, labels, count: labelCount, tokenCount, paddedTokenCount, rowIds };
    },
    loss: (batch, context) => loss(batch, context),
  };
}

function loss({ rows, labels }: LanguageModelBatch, { engine, model }: ObjectiveContext): LossResult {
  const labelled = labelledRows(labels);
  if (labelled.length === 0) return { sum: engine.zeros([1]), count: 0 };
  const hidden = takeRows(model.forward(rows), engine.tensor(labelled));
  const wanted = targets(engine, labels, labelled);
  const sum = linearCrossEntropy(hidden, model.headWeight.tensor, wanted, model.logitSoftCap);
  return { sum, count: labelled.length };
}

function labelledRows(labels: Int32Array): Int32Array {
  const rows: number[] = [];
  for (const [row, label] of labels.entries()) if (label >= 0) rows.push(row);
  return Int32Array.from(rows);
}

const targets = (engine: Engine, labels: Int32Array, rows: Int32Array): Tensor =>
  engine.tensor(rows.map((row) => labels[row] ?? -100));
