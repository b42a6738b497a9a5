import type { CausalLM } from "@welltempered/nn";
import type { Engine } from "@welltempered/tensor";
import type { Batch, ExampleSet, Objective } from "./objective.ts";
import { speedMetrics } from "./speed.ts";
import type { Pending } from "./state.ts";
import { createSums, type Sums } from "./sums.ts";

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
 * Batches without a labelled token do not count. What the objective counts beside the loss is a mean over its items.
 */
export async function evaluate<E, B extends Batch>(options: EvaluateOptions<E, B>): Promise<Record<string, number>> {
  const { engine, model, examples, batchSize, prefix } = options;
  const started = performance.now();
  const batches = Math.ceil(examples.length / batchSize);
  const mean = { loss: 0, rows: 0 };
  const sums = createSums(engine);
  const wasTraining = model.training;
  model.setTraining(false);
  try {
    for (let index = 0; index < batches; index++) {
      const rows = slice(examples, index * batchSize, (index + 1) * batchSize);
      const loss = await engine.noGradAsync(() => batchLoss(options, rows, sums));
      if (loss !== undefined) {
        mean.loss += loss * rows.length;
        mean.rows += rows.length;
      }
      options.progress?.(index + 1, batches);
    }
    return { ...result(prefix, mean, await sums.read()), ...speed(options, started, batches) };
  } finally {
    sums.dispose();
    model.setTraining(wasTraining);
  }
}

function result(
  prefix: string,
  { loss, rows }: { loss: number; rows: number },
  sums: Readonly<Record<string, Pending>>,
): Record<string, number> {
  const means = Object.entries(sums).map(([name, { sum, count }]) => [`${prefix}_${name}`, sum / Math.max(count, 1)]);
  return { ...(rows > 0 ? { [`${prefix}_loss`]: loss / rows } : {}), ...Object.fromEntries(means) };
}

function speed<E, B extends Batch>(
  { prefix, examples }: EvaluateOptions<E, B>,
  started: number,
  steps: number,
): Record<string, number> {
  return speedMetrics(prefix, (performance.now() - started) / 1000, { samples: examples.length, steps });
}

async function batchLoss<E, B extends Batch>(
  { engine, model, objective }: EvaluateOptions<E, B>,
  rows: readonly E[],
  sums: Sums,
): Promise<number | undefined> {
  return engine.scopeAsync(async () => {
    const { sum, count, aux = {} } = await objective.loss(objective.collate(rows), { engine, model, training: false });
    for (const [name, { sum: value, count: items }] of Object.entries(aux)) sums.add(name, value, 1, items);
    return count === 0 ? undefined : (await sum.item()) / count;
  });
}

function slice<E>(examples: ExampleSet<E>, start: number, end: number): E[] {
  return Array.from({ length: Math.min(end, examples.length) - start }, (_, index) => examples.get(start + index));
}
