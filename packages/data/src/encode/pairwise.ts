import type { Example } from "../example.ts";
import type { AlignedRow, Message } from "../messages.ts";
import { inferSeqlen } from "./infer-seqlen.ts";
import { type Encoder, eosIdOf, IGNORE_INDEX } from "./supervised.ts";

/** Ids of a prompt and of two answers to it. */
export interface EncodedPair {
  prompt: number[];
  chosen: number[];
  rejected: number[];
  /** Whether the cutoff took tokens away. */
  truncated: boolean;
}

/** Ids of the turns before an answer, and of the answer with what ends it. */
export function encodeAnswer(
  { prompt, system, tools }: Pick<AlignedRow, "prompt" | "system" | "tools">,
  answer: Message,
  { tokenizer, template }: Encoder,
): [prompt: number[], answer: number[]] {
  const [before, after] = template.encodeOneturn(tokenizer, [...prompt, answer], system, tools);
  return [before, template.efficientEos ? [...after, eosIdOf(tokenizer)] : after];
}

/** Ids of a row with two answers. Prompt and answers share one budget, which the longer answer decides. */
export function encodePair(row: AlignedRow, encoder: Encoder, cutoffLen: number): EncodedPair {
  const encoded = row.response.map((answer) => encodeAnswer(row, answer, encoder));
  const prompt = encoded[0]?.[0] ?? [];
  const answers = encoded.map(([, answer]) => answer);
  const longest = Math.max(...answers.map(({ length }) => length));
  const { source, target } = inferSeqlen(prompt.length, longest, cutoffLen);
  const [chosen = [], rejected = []] = answers.map((answer) => answer.slice(0, target));
  return {
    prompt: prompt.slice(0, source),
    chosen,
    rejected,
    truncated: source < prompt.length || target < longest,
  };
}

/** Each answer needs a token that something comes before. */
export const hasTokens = ({ prompt, chosen, rejected }: EncodedPair): boolean =>
  Math.min(chosen.length, rejected.length) > (prompt.length > 0 ? 0 : 1);

/** A pair as one example of two sequences that do not see each other: prompt and chosen, prompt and rejected. */
export function pairExample({ prompt, chosen, rejected }: EncodedPair, row: number): Example {
  const sequences = [chosen, rejected].map((answer) => [...prompt, ...answer]);
  const masked = prompt.map(() => IGNORE_INDEX);
  const lengths = sequences.map(({ length }) => length);
  const inputIds = Int32Array.from(sequences.flat());
  return {
    inputIds,
    labels: Int32Array.from([...masked, ...chosen, ...masked, ...rejected]),
    segmentLengths: Int32Array.from(lengths),
    positions: Int32Array.from(lengths.flatMap((length) => Array.from({ length }, (_, position) => position))),
    tokenCount: inputIds.length,
    paddedLength: Math.max(...lengths),
    row,
  };
}
