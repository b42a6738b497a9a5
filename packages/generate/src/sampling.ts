// From logits to a token, with the formulas and the order of transformers 5.18 (`generation/logits_process.py`):
// repetition penalty, temperature, top-k, top-p, then one draw. Pure functions on one row of logits.

export interface SamplingOptions {
  /** False takes the most likely token. */
  doSample: boolean;
  temperature: number;
  /** Keep the k most likely; 0 keeps all. */
  topK: number;
  /** Keep the smallest set with this probability; 1 keeps all. */
  topP: number;
  /** 1 changes nothing; above 1 makes tokens of the prompt and of the answer so far less likely. */
  repetitionPenalty: number;
}

const isGreedy = ({ doSample, temperature }: SamplingOptions): boolean => !doSample || temperature === 0;

/** Whether the next token is the one with the largest logit, whatever came before. */
export const takesLargest = (options: SamplingOptions): boolean => isGreedy(options) && options.repetitionPenalty === 1;

/** Divides positive and multiplies negative logits of every token in `seen`, each once (Keskar et al. 2019). In place. */
export function penalizeRepetition(logits: Float32Array, seen: Iterable<number>, penalty: number): void {
  for (const token of new Set(seen)) {
    const score = logits[token];
    if (score !== undefined) logits[token] = score < 0 ? score * penalty : score / penalty;
  }
}

/** Index of the largest logit, the first of equal ones. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  let largest = Number.NEGATIVE_INFINITY;
  // By index: an iterator makes a pair for each of the vocabulary's logits, a token's time in all.
  for (let index = 0; index < logits.length; index++) {
    const logit = logits[index] ?? Number.NaN;
    if (logit > largest) {
      best = index;
      largest = logit;
    }
  }
  return best;
}

interface Candidate {
  token: number;
  logit: number;
}

/** Up to this many, the largest are collected in passing, in about k · ln(V/k) insertions; more are sorted. */
const few = 256;

/** The k-th largest, 1 ≤ k ≤ V. */
function kthLargest(logits: Float32Array, k: number): number {
  if (k > few) return logits.slice().sort()[logits.length - k] ?? Number.NEGATIVE_INFINITY;
  const ascending = new Float32Array(k).fill(Number.NEGATIVE_INFINITY);
  for (let index = 0; index < logits.length; index++) {
    const logit = logits[index] ?? Number.NaN;
    if (!(logit > (ascending[0] ?? 0))) continue;
    let at = 1;
    for (; at < k && (ascending[at] ?? 0) < logit; at++) ascending[at - 1] = ascending[at] ?? 0;
    ascending[at - 1] = logit;
  }
  return ascending[0] ?? Number.NEGATIVE_INFINITY;
}

/** Tokens whose logit is at least the k-th largest, in vocabulary order: ties with the k-th stay, as in torch. */
function keepTopK(logits: Float32Array, k: number): Candidate[] {
  const all = k <= 0 || k >= logits.length;
  const threshold = all ? Number.NEGATIVE_INFINITY : kthLargest(logits, k);
  const kept: Candidate[] = [];
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token] ?? Number.NaN;
    if (logit >= threshold && logit > Number.NEGATIVE_INFINITY) kept.push({ token, logit });
  }
  return kept;
}

/** Softmax weights, not normalised. */
function weightsOf(candidates: readonly Candidate[]): number[] {
  const largest = candidates.reduce((max, { logit }) => Math.max(max, logit), Number.NEGATIVE_INFINITY);
  return candidates.map(({ logit }) => Math.exp(logit - largest));
}

/** Drops the least likely tokens whose probabilities sum to at most 1 − p; the most likely one stays. */
function keepTopP(candidates: readonly Candidate[], p: number): readonly Candidate[] {
  if (p >= 1) return candidates;
  const ascending = [...candidates].sort((a, b) => a.logit - b.logit);
  const weights = weightsOf(ascending);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let cumulative = 0;
  let dropped = 0;
  for (const weight of weights) {
    cumulative += weight;
    if (cumulative / total > 1 - p) break;
    dropped++;
  }
  return ascending.slice(Math.min(dropped, ascending.length - 1));
}

function draw(candidates: readonly Candidate[], uniform: number): number {
  const weights = weightsOf(candidates);
  let left = uniform * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [index, { token }] of candidates.entries()) {
    left -= weights[index] ?? 0;
    if (left < 0) return token;
  }
  return candidates.at(-1)?.token ?? 0;
}

/** Probabilities [V] that `chooseToken` draws from. */
export function distribution(logits: Float32Array, options: SamplingOptions): Float32Array {
  const candidates = candidatesOf(logits, options);
  const weights = weightsOf(candidates);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const probabilities = new Float32Array(logits.length);
  for (const [index, { token }] of candidates.entries()) probabilities[token] = (weights[index] ?? 0) / total;
  return probabilities;
}

function candidatesOf(logits: Float32Array, { temperature, topK, topP }: SamplingOptions): readonly Candidate[] {
  const scaled = temperature === 1 ? logits : logits.map((logit) => logit / temperature);
  return keepTopP(keepTopK(scaled, topK), topP);
}

/**
 * The next token. Overwrites `logits` [V].
 * @param seen tokens of the prompt and of the answer so far
 * @param uniform a draw from [0, 1), unused when greedy
 */
export function chooseToken(
  logits: Float32Array,
  seen: Iterable<number>,
  options: SamplingOptions,
  uniform: number,
): number {
  if (options.repetitionPenalty !== 1) penalizeRepetition(logits, seen, options.repetitionPenalty);
  if (isGreedy(options)) return argmax(logits);
  return draw(candidatesOf(logits, options), uniform);
}
