// Batched generation with a KV cache: the prompts go through the model once as packed rows, then each live sequence
// adds one row a step. A finished sequence leaves the batch at once; there is no padding anywhere.

import { KvCache, packRows, type CausalLM, type PackedRows } from "@welltempered/nn";
import { takeRows, type Engine } from "@welltempered/tensor";
import { GenerateError } from "./errors.ts";
import { drawFor } from "./philox.ts";
import { chooseToken, type SamplingOptions } from "./sampling.ts";

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
    const logits = await lastLogits(model, rows, cache);
    const vocabulary = logits.length / live.length;
    for (const [at, sequence] of live.entries()) {
      extend(sequence, logits.subarray(at * vocabulary, (at + 1) * vocabulary), options, onToken);
    }
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

/** Logits of the last row of each segment, [S · V]. */
async function lastLogits(model: CausalLM, rows: PackedRows, cache: KvCache): Promise<Float32Array> {
  const engine = engineOf(model);
  const logits = engine.noGrad(() =>
    engine.scope(() => {
      const hidden = model.forward(rows, cache);
      const last = engine.tensor(Int32Array.from(rows.segments, ({ start, length }) => start + length - 1));
      return model.logits(takeRows(hidden, last));
    }),
  );
  const numbers = await logits.read();
  logits.dispose();
  return numbers instanceof Float32Array ? numbers : Float32Array.from(numbers);
}

function extend(sequence: Sequence, logits: Float32Array, options: GenerateOptions, onToken?: OnToken): void {
  const made = sequence.tokens.length - sequence.promptLength;
  const uniform = options.sampling.doSample ? drawFor(options.seed, sequence.index, made) : 0;
  if (Number.isNaN(logits[0]))
    throw new GenerateError("NOT_FINITE", "the model's logits are not numbers", "check the weights");
  const token = chooseToken(logits, sequence.tokens, options.sampling, uniform);
  if (options.stopIds.includes(token)) {
    sequence.reason = "stop";
    return;
  }
  sequence.tokens.push(token);
  onToken?.(token, sequence.index);
  if (made + 1 >= options.maxNewTokens) sequence.reason = "length";
}

/** One row a sequence: its newest token. */
function nextRows(live: readonly Sequence[]): PackedRows {
  return {
    tokens: Int32Array.from(live, ({ tokens }) => tokens.at(-1) ?? 0),
    positions: Int32Array.from(live, ({ tokens }) => tokens.length - 1),
    segments: live.map((_, start) => ({ start, length: 1, parent: -1 })),
  };
}
