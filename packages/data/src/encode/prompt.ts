import type { AlignedRow } from "../messages.ts";
import { inferSeqlen } from "./infer-seqlen.ts";
import { type Encoder, eosIdOf } from "./supervised.ts";

/** A prompt to be answered, and the answer it is compared with (empty where the row has none). */
export interface PromptExample {
  promptIds: Int32Array;
  labelIds: Int32Array;
  /** Number of the row in its dataset. */
  row: number;
}

/** Ids of the prompt and of the expected answer, cut together to `cutoffLen`. */
export function encodePrompt(row: AlignedRow, encoder: Encoder, cutoffLen: number): Omit<PromptExample, "row"> {
  const { tokenizer, template } = encoder;
  const answer = row.response.length === 1 ? row.response : [{ role: "assistant" as const, content: "" }];
  const [prompt, response] = template.encodeOneturn(tokenizer, [...row.prompt, ...answer], row.system, row.tools);
  const label = template.efficientEos ? [...response, eosIdOf(tokenizer)] : response;
  const lengths = inferSeqlen(prompt.length, label.length, cutoffLen);
  return {
    promptIds: Int32Array.from(prompt.slice(0, lengths.source)),
    labelIds: Int32Array.from(label.slice(0, lengths.target)),
  };
}
