// Batched generation with a KV cache: the prompts go through the model once as packed rows, then each live sequence
// adds one row a step. A finished sequence leaves the batch at once; there is no padding anywhere.

import { KvCache, packRows, type CausalLM, type PackedRows } from "@welltempered/nn";
import { argmax, takeRows, type Engine, type Tensor, type TensorData } from "@welltempered/tensor";
import { GenerateError } from "./errors.ts";
import { drawFor } from "./philox.ts";
import { chooseToken, takesLargest, type SamplingOptions } from "./sampling.ts";

export interface GenerateOptions {
  sampling: SamplingOptions;
  maxNewTokens: number;
  /** Any of these ends a sequence. */
  stopIds: readonly number[];
  seed: number;
  /** Ends all sequences after the current step. */
  signal?: AbortSignal;
}

export interface Completion {
  /** Without the prompt and without the stop token. */
  tokens: Int32Array;
  reason: "stop" | "length" | "aborted";
}

/** Called for each new token but stop tokens; `sequence` is the index of the prompt. */
export type OnToken = (token: number, sequence: number) => void;

interface Sequence {
  index: number;
  /** Prompt and answer. */
  tokens: number[];
  promptLength: number;
  reason: Completion["reason"] | undefined;
}

/**
 * Continues each prompt. The model leaves training mode meanwhile.
 * @throws {GenerateError} EMPTY_PROMPT, NOT_FINITE
 */
export async function generate(
  model: CausalLM,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
  onToken?: OnToken,
): Promise<Completion[]> {
  const sequences = prompts.map((prompt, index): Sequence => {
    if (prompt.length === 0)
      throw new GenerateError("EMPTY_PROMPT", `prompt ${index} has no tokens`, "give at least one token");
    return {
      index,
      tokens: [...prompt],
      promptLength: prompt.length,
      reason: options.maxNewTokens > 0 ? undefined : "length",
    };
  });
  const wasTraining = model.training;
  model.setTraining(false);
  const cache = cacheFor(model, sequences, options.maxNewTokens);
  try {
    await run(model, cache, sequences, options, onToken);
  } finally {
    cache.dispose();
    model.setTraining(wasTraining);
  }
  return sequences.map(({ tokens, promptLength, reason }) => ({
    tokens: Int32Array.from(tokens.slice(promptLength)),
    reason: reason ?? "aborted",
  }));
}

const engineOf = (model: CausalLM): Engine => model.headWeight.tensor.engine;

function cacheFor(model: CausalLM, sequences: readonly Sequence[], maxNewTokens: number): KvCache {
  const longest = sequences.reduce((length, { promptLength }) => Math.max(length, promptLength), 0);
  return new KvCache(engineOf(model), {
    ...model.cacheShape,
    prefix: model.prefix?.length ?? 0,
    sequences: sequences.length,
    capacity: longest + maxNewTokens,
  });
}

async function run(
  model: CausalLM,
  cache: KvCache,
  sequences: readonly Sequence[],
  options: GenerateOptions,
  onToken?: OnToken,
): Promise<void> {
  let live = sequences.filter(({ reason }) => reason === undefined);
  let rows = packRows(live.map(({ tokens }) => tokens));
  let long = isLong(model, live);
  while (live.length > 0 && options.signal?.aborted !== true) {
    cache.active = live.map(({ index }) => index);
    const tokens = await nextTokens(model, rows, cache, live, options);
    for (const [at, sequence] of live.entries()) extend(sequence, tokens[at] ?? 0, options, onToken);
    live = live.filter(({ reason }) => reason === undefined);
    rows = nextRows(live);
    if (isLong(model, live) === long) continue;
    long = !long;
    cache.clear();
    rows = packRows(live.map(({ tokens }) => tokens));
  }
}

/** Whether the longest sequence is behind the model's `cacheBorder`. */
const isLong = (model: CausalLM, live: readonly Sequence[]): boolean =>
  live.some(({ tokens }) => (model.prefix?.length ?? 0) + tokens.length > model.cacheBorder);

/** A token for each live sequence. Logits leave the backend only where more is asked of them than their largest. */
async function nextTokens(
  model: CausalLM,
  rows: PackedRows,
  cache: KvCache,
  live: readonly Sequence[],
  options: GenerateOptions,
): Promise<ArrayLike<number>> {
  if (takesLargest(options.sampling)) {
    const [tokens = [], largest = []] = await readAll(model, rows, cache, argmax);
    for (let at = 0; at < largest.length; at++) checkFinite(largest[at]);
    return tokens;
  }
  const [logits = []] = await readAll(model, rows, cache, (all) => [all]);
  const numbers = logits instanceof Float32Array ? logits : Float32Array.from(logits);
  const vocabulary = numbers.length / live.length;
  return live.map((sequence, at) =>
    chosen(sequence, numbers.subarray(at * vocabulary, (at + 1) * vocabulary), options),
  );
}

/** What `pick` makes of the logits [S,V] of the last row of each segment. */
async function readAll(
  model: CausalLM,
  rows: PackedRows,
  cache: KvCache,
  pick: (logits: Tensor) => Tensor[],
): Promise<TensorData[]> {
  const engine = engineOf(model);
  const picked = engine.noGrad(() =>
    engine.scope(() => {
      const hidden = model.forward(rows, cache);
      const last = engine.tensor(Int32Array.from(rows.segments, ({ start, length }) => start + length - 1));
      return pick(model.logits(takeRows(hidden, last)));
    }),
  );
  const numbers = await Promise.all(picked.map((tensor) => tensor.read()));
  for (const tensor of picked) tensor.dispose();
  return numbers;
}

function checkFinite(logit: number | undefined): void {
  if (Number.isNaN(logit))
    throw new GenerateError("NOT_FINITE", "the model's logits are not numbers", "check the weights");
}

function chosen({ index, tokens, promptLength }: Sequence, logits: Float32Array, options: GenerateOptions): number {
  const { sampling, seed } = options;
  checkFinite(logits[0]);
  return chooseToken(
    logits,
    tokens,
    sampling,
    sampling.doSample ? drawFor(seed, index, tokens.length - promptLength) : 0,
  );
}

function extend(sequence: Sequence, token: number, options: GenerateOptions, onToken?: OnToken): void {
  if (options.stopIds.includes(token)) {
    sequence.reason = "stop";
    return;
  }
  sequence.tokens.push(token);
  onToken?.(token, sequence.index);
  if (sequence.tokens.length - sequence.promptLength >= options.maxNewTokens) sequence.reason = "length";
}

/** One row a sequence: its newest token. */
function nextRows(live: readonly Sequence[]): PackedRows {
  return {
    tokens: Int32Array.from(live, ({ tokens }) => tokens.at(-1) ?? 0),
    positions: Int32Array.from(live, ({ tokens }) => tokens.length - 1),
    segments: live.map((_, start) => ({ start, length: 1, parent: -1 })),
  };
}
