import type { Tokenizer } from "@welltempered/tokenizer";

import type { AlignedRow, RowTemplate } from "../messages.ts";

import { inferSeqlen } from "./infer-seqlen.ts";

/** The label of a token that is not trained on. */
export const IGNORE_INDEX = -100;

export interface SupervisedOptions {
  /** Most tokens of an example. */
  cutoffLen: number;
  /** The prompt is trained on too. */
  trainOnPrompt: boolean;
  /** Only the last answer is trained on, and the last turns are kept first. */
  maskHistory: boolean;
}

/** What turns rows into ids. */
export interface Encoder {
  tokenizer: Tokenizer;
  template: RowTemplate;
}

/** Token ids of one row with their labels (not shifted), of equal length. */
export interface EncodedRow {
  inputIds: number[];
  labels: number[];
  /** Whether the cutoff took tokens away. */
  truncated: boolean;
}

/** Id that ends a sequence; throws a RangeError for a tokenizer that the template left without one. */
export function eosIdOf(tokenizer: Tokenizer): number {
  const eos = tokenizer.specialTokens.eos;
  if (eos === undefined) throw new RangeError("the tokenizer has no end-of-sequence token");
  return eos.id;
}

function masked(length: number): number[] {
  return Array.from({ length }, () => IGNORE_INDEX);
}

/** Ids and labels of one question and answer. */
interface Turn {
  inputIds: number[];
  labels: number[];
}

/** A later question's first token stands for the end of the answer before it where the template has no EOS of its own. */
function sourceLabels(source: readonly number[], turn: number, encoder: Encoder, options: SupervisedOptions): number[] {
  if (options.trainOnPrompt) return [...source];
  const labels = masked(source.length);
  if (encoder.template.efficientEos && turn !== 0 && labels.length > 0) labels[0] = eosIdOf(encoder.tokenizer);
  return labels;
}

function cutTurns(
  pairs: readonly (readonly [readonly number[], readonly number[]])[],
  encoder: Encoder,
  options: SupervisedOptions,
): Turn[] {
  const turns: Turn[] = [];
  let used = encoder.template.efficientEos ? 1 : 0;
  for (const [turn, [prompt, response]] of pairs.entries()) {
    if (used >= options.cutoffLen) break;
    const lengths = inferSeqlen(prompt.length, response.length, options.cutoffLen - used);
    const source = prompt.slice(0, lengths.source);
    const target = response.slice(0, lengths.target);
    used += source.length + target.length;
    const isHistory = options.maskHistory && turn !== 0;
    const targetLabels = isHistory ? masked(target.length) : target;
    turns.push({
      inputIds: [...source, ...target],
      labels: [...sourceLabels(source, turn, encoder, options), ...targetLabels],
    });
  }
  return turns;
}

/** Ids and labels of a conversation: each turn gets what the turns before it left of the cutoff (from the end with `maskHistory`). */
export function encodeSupervised(row: AlignedRow, encoder: Encoder, options: SupervisedOptions): EncodedRow {
  const { tokenizer, template } = encoder;
  const pairs = template.encodeMultiturn(tokenizer, [...row.prompt, ...row.response], row.system, row.tools);
  const turns = cutTurns(options.maskHistory ? [...pairs].reverse() : pairs, encoder, options);
  if (options.maskHistory) turns.reverse();
  // concat copies whole arrays, flatMap goes element by element.
  const inputIds = ([] as number[]).concat(...turns.map((turn) => turn.inputIds));
  const labels = ([] as number[]).concat(...turns.map((turn) => turn.labels));
  const truncated =
    inputIds.length < pairs.reduce((sum, [prompt, response]) => sum + prompt.length + response.length, 0);
  if (!template.efficientEos) return { inputIds, labels, truncated };
  const eos = eosIdOf(tokenizer);
  return { inputIds: [...inputIds, eos], labels: [...labels, eos], truncated };
}
