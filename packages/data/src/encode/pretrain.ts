import type { Tokenizer } from "@welltempered/tokenizer";

import { eosIdOf } from "./supervised.ts";

// No text begins with BOS: LlamaFactory adds it for tokenizers with `add_bos_token`, but transformers 5 drops that
// setting for every tokenizer that has a tokenizer.json, and these rows are to equal what it really trains on.

export interface PretrainOptions {
  cutoffLen: number;
  /** Texts are joined and cut into blocks of `cutoffLen`; otherwise each text is cut off by itself. */
  packing: boolean;
  /** Template name: `llama3` ends its texts with <|end_of_text|> rather than with its turn's end. */
  template: string | undefined;
  /** Control tokens written in a text become control tokens. */
  allowSpecial: boolean;
}

/** Ids of one block or text, and the number of the row it begins with. */
export interface PretrainBlock {
  inputIds: number[];
  row: number;
  truncated: boolean;
}

function endId(tokenizer: Tokenizer, template: string | undefined): number {
  const llama3 = template === "llama3" ? tokenizer.tokenToId("<|end_of_text|>") : undefined;
  return llama3 ?? eosIdOf(tokenizer);
}

/** Labels of pre-training ids: the ids themselves, except padding, which the collator cannot tell from the token it reuses. */
export function pretrainLabels(inputIds: Int32Array, tokenizer: Tokenizer, ignoreIndex: number): Int32Array {
  const pad = (tokenizer.specialTokens.pad ?? tokenizer.specialTokens.eos)?.id;
  return inputIds.map((id) => (id === pad ? ignoreIndex : id));
}

/** A text and the number of its row. */
export interface PretrainText {
  text: string;
  row: number;
}

interface EncodedText {
  ids: number[];
  row: number;
}

function encodeTexts(texts: readonly PretrainText[], tokenizer: Tokenizer, options: PretrainOptions): EncodedText[] {
  const end = endId(tokenizer, options.template);
  return texts.map(({ text, row }) => ({
    ids: [...tokenizer.encode(text, { allowSpecial: options.allowSpecial }), end],
    row,
  }));
}

function cutTexts(texts: readonly EncodedText[], cutoffLen: number): PretrainBlock[] {
  return texts.map(({ ids, row }) => ({
    inputIds: ids.slice(0, cutoffLen),
    row,
    truncated: ids.length > cutoffLen,
  }));
}

/** Joins the texts and cuts blocks; what is left at the end is dropped. */
function packTexts(texts: readonly EncodedText[], cutoffLen: number): PretrainBlock[] {
  const joined = texts.flatMap(({ ids }) => ids);
  const owners = texts.flatMap(({ ids, row }) => ids.map(() => row));
  return Array.from({ length: Math.floor(joined.length / cutoffLen) }, (_, block) => {
    const start = block * cutoffLen;
    return {
      inputIds: joined.slice(start, start + cutoffLen),
      row: owners[start] ?? 0,
      truncated: false,
    };
  });
}

/** Blocks of one batch of texts, each text ended by EOS. */
export function encodePretrain(
  texts: readonly PretrainText[],
  tokenizer: Tokenizer,
  options: PretrainOptions,
): PretrainBlock[] {
  const encoded = encodeTexts(texts, tokenizer, options);
  return options.packing ? packTexts(encoded, options.cutoffLen) : cutTexts(encoded, options.cutoffLen);
}
