/** Lengths left of a source and a target under a budget of `cutoff` tokens; both lose their tails. */
export interface SequenceLengths {
  source: number;
  target: number;
}

/** LlamaFactory's rule: the longer side gives way first; if both are long, in proportion to their lengths. */
export function inferSeqlen(source: number, target: number, cutoff: number): SequenceLengths {
  const kept = Math.min(targetBudget(source, target, cutoff), target);
  return { source: Math.min(Math.max(cutoff - kept, 0), source), target: kept };
}

function targetBudget(source: number, target: number, cutoff: number): number {
  if (target * 2 < cutoff) return cutoff;
  if (source * 2 < cutoff) return cutoff - source;
  return Math.trunc(cutoff * (target / (source + target)));
}
