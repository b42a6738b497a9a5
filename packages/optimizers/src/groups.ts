import type { ParameterGroup, Trainable } from "./optimizer.ts";

// transformers 5.18, Trainer.get_decay_parameter_names: tested on the lower-cased name.
const undecayed = [/bias/, /layernorm/, /rmsnorm/, /(?:^|\.)norm(?:$|\.)/, /_norm(?:$|\.)/];

/** Whether weight decay applies to a parameter of this name: not to norms and biases. */
export function isDecayed(name: string): boolean {
  const lower = name.toLowerCase();
  return !undecayed.some((pattern) => pattern.test(lower));
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
