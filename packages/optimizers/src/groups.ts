import type { ParameterGroup, Trainable } from "./optimizer.ts";

// transformers 5.18, Trainer.get_decay_parameter_names: tested on the lower-cased name.
const undecayed = [/bias/, /layernorm/, /rmsnorm/, /(?:^|\.)norm(?:$|\.)/, /_norm(?:$|\.)/];

/** Whether weight decay applies to a parameter of this name: not to norms and biases. */
export function isDecayed(name: string): boolean {
  const lower = name.toLowerCase();
  return !undecayed.some((pattern) => pattern.test(lower));
}

export interface LoraPlusSettings {
  /** Learning rate of B over that of A. */
  ratio: number;
  /** Learning rate of an embedding's B. */
  embedding: number;
  /** Learning rate of the run, above 0. */
  learningRate: number;
}

/**
 * LoRA+ (Hayou et al. 2024, arXiv 2402.12354) in LlamaFactory's four groups: A and whole matrices at the learning rate;
 * B and vectors at `ratio` times it, norms and biases among them without decay; an embedding's B at its own.
 */
export function loraPlusGroups(
  parameters: Iterable<readonly [name: string, parameter: Trainable]>,
  weightDecay: number,
  { ratio, embedding, learningRate }: LoraPlusSettings,
): ParameterGroup[] {
  const kinds = {
    a: { weightDecay, learningRateFactor: 1 },
    b: { weightDecay, learningRateFactor: ratio },
    bare: { weightDecay: 0, learningRateFactor: ratio },
    embedding: { weightDecay, learningRateFactor: embedding / learningRate },
  };
  const kindOf = (name: string, { tensor }: Trainable): keyof typeof kinds => {
    if (name.includes("lora_embedding_B")) return "embedding";
    if (!name.includes("lora_B") && tensor.shape.length !== 1) return "a";
    return isDecayed(name) ? "b" : "bare";
  };
  const all = [...parameters].map(([name, parameter]) => ({ name, parameter, kind: kindOf(name, parameter) }));
  return Object.entries(kinds).flatMap(([kind, settings]): ParameterGroup[] => {
    const members = all.filter((member) => member.kind === kind);
    if (members.length === 0) return [];
    return [
      { parameters: members.map(({ parameter }) => parameter), names: members.map(({ name }) => name), ...settings },
    ];
  });
}

/** The two groups of the Hugging Face trainer: decayed, and norms and biases without decay. Empty groups are left out. */
export function decayGroups(
  parameters: Iterable<readonly [name: string, parameter: Trainable]>,
  weightDecay: number,
): ParameterGroup[] {
  const all = [...parameters];
  const group = (decayed: boolean): ParameterGroup => {
    const members = all.filter(([name]) => isDecayed(name) === decayed);
    return {
      parameters: members.map(([, parameter]) => parameter),
      names: members.map(([name]) => name),
      weightDecay: decayed ? weightDecay : 0,
      learningRateFactor: 1,
    };
  };
  return [group(true), group(false)].filter(({ names }) => names.length > 0);
}
