import type { CausalLM } from "@welltempered/nn";
import type { Engine } from "@welltempered/tensor";
import type { Batch, ExampleSet, Objective } from "./objective.ts";
import { speedMetrics } from "./speed.ts";

export interface EvaluateOptions<E, B extends Batch> {
  engine: Engine;
  model: CausalLM;
  objective: Objective<E, B>;
  examples: ExampleSet<E>;
  batchSize: number;
  /** "eval" or "predict": begins every key. */
  prefix: string;
  progress?(done: number, total: number): void;
}

/**
 * Loss over a data set as Hugging Face's trainer reports it: the mean over rows of the mean loss of the row's batch.
 * Batches without a labelled token do not count.
 */
export async function evaluate<E, B extends Batch>(options: EvaluateOptions<E, B>): Promise<Record<string, number>> {
  const { engine, model, examples, batchSize, prefix } = options;
  const started = performance.now();
  const batches = Math.ceil(examples.length / batchSize);
  const mean = { loss: 0, rows: 0 };
  const wasTraining = model.training;
  model.setTraining(false);
  try {
    for (let index = 0; index < batches; index++) {
      const rows = slice(examples, index * batchSize, (index + 1) * batchSize);
      const loss = await engine.noGradAsync(() => batchLoss(options, rows));
      if (loss !== undefined) {
        mean.loss += loss * rows.length;
        mean.rows += rows.length;
      }
      options.progress?.(index + 1, batches);
    }
  } finally {
    model.setTraining(wasTraining);
  }
  const loss = mean.rows > 0 ? { [`${prefix}_loss`]: mean.loss / mean.rows } : {};
  return {
    ...loss,
    ...speedMetrics(prefix, (performance.now() - started) / 1000, { samples: examples.length, steps: batches }),
  };
}

async function batchLoss<E, B extends Batch>(
  { engine, model, objective }: EvaluateOptions<E, B>,
  rows: readonly E[],
): Promise<number | undefined> {
  return engine.scopeAsync(async () => {
    const { sum, count } = await objective.loss(objective.collate(rows), { engine, model, training: false });
    return count === 0 ? undefined : (await sum.item()) / count;
  });
}

function slice<E>(examples: ExampleSet<E>, start: number, end: number): E[] {
  return Array.from({ length: Math.min(end, examples.length) - start }, (_, index) => examples.get(start + index));
}
