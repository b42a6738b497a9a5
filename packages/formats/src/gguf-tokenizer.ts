// The tokenizer inside a GGUF file, checked and as it stands there; making it tokenize is the tokenizer package's part.
import {
  type GgufFields,
  fieldError,
  optionalBoolean,
  optionalInteger,
  optionalItems,
  optionalString,
  optionalStrings,
} from "./gguf-fields.ts";
import { printable } from "./printable.ts";

export interface GgufTokenizer {
  /** tokenizer.ggml.model: "gpt2" is byte-level BPE, "llama" SentencePiece. */
  model: string;
  /** tokenizer.ggml.pre: name of the pre-tokenizer, "smollm", "llama-bpe", … */
  pre: string | undefined;
  /** By token id. */
  tokens: string[];
  /** By token id: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte. */
  tokenTypes: number[] | undefined;
  scores: number[] | undefined;
  /** "left right", best first. */
  merges: string[] | undefined;
  bosTokenId: number | undefined;
  eosTokenId: number | undefined;
  padTokenId: number | undefined;
  unknownTokenId: number | undefined;
  addBosToken: boolean | undefined;
  addEosToken: boolean | undefined;
  addSpacePrefix: boolean | undefined;
  chatTemplate: string | undefined;
}

const prefix = "tokenizer.ggml.";

/** Tokenizer metadata of a GGUF file; undefined where it has none. */
export function readGgufTokenizer(fields: GgufFields): GgufTokenizer | undefined {
  const model = optionalString(fields, `${prefix}model`);
  const tokens = optionalStrings(fields, `${prefix}tokens`);
  if (model === undefined && tokens === undefined) return undefined;
  if (model === undefined) throw fieldError(fields, `${prefix}model`, "is missing");
  if (tokens === undefined || tokens.length === 0) throw fieldError(fields, `${prefix}tokens`, "is missing or empty");
  return {
    model,
    pre: optionalString(fields, `${prefix}pre`),
    tokens,
    ...readTables(fields, model, tokens),
    bosTokenId: tokenId(fields, "bos_token_id", tokens.length),
    eosTokenId: tokenId(fields, "eos_token_id", tokens.length),
    padTokenId: tokenId(fields, "padding_token_id", tokens.length),
    unknownTokenId: tokenId(fields, "unknown_token_id", tokens.length),
    addBosToken: optionalBoolean(fields, `${prefix}add_bos_token`),
    addEosToken: optionalBoolean(fields, `${prefix}add_eos_token`),
    addSpacePrefix: optionalBoolean(fields, `${prefix}add_space_prefix`),
    chatTemplate: optionalString(fields, "tokenizer.chat_template"),
  };
}

type Tables = Pick<GgufTokenizer, "tokenTypes" | "scores" | "merges">;

function readTables(fields: GgufFields, model: string, tokens: readonly string[]): Tables {
  const tokenTypes = sameLength(fields, `${prefix}token_type`, ["i32", "u32"], tokens.length);
  const scores = sameLength(fields, `${prefix}scores`, ["f32"], tokens.length);
  const merges = optionalStrings(fields, `${prefix}merges`);
  if (model === "gpt2" && !merges)
    throw fieldError(fields, `${prefix}merges`, "is missing, and a gpt2 tokenizer needs it");
  checkMerges(fields, merges ?? []);
  checkByteTokens(fields, tokens, tokenTypes ?? []);
  return { tokenTypes, scores, merges };
}

function sameLength(fields: GgufFields, key: string, types: readonly string[], length: number): number[] | undefined {
  const items = optionalItems(fields, key, types) as number[] | undefined;
  if (items && items.length !== length)
    throw fieldError(fields, key, `has ${items.length} entries for ${length} tokens`);
  return items;
}

function checkMerges(fields: GgufFields, merges: readonly string[]): void {
  const bad = merges.find((merge) => merge.indexOf(" ", 1) < 1 || merge.endsWith(" "));
  if (bad !== undefined) throw fieldError(fields, `${prefix}merges`, `holds "${printable(bad, 40)}", not two parts`);
}

function checkByteTokens(fields: GgufFields, tokens: readonly string[], types: readonly number[]): void {
  const bad = tokens.find((token, id) => types[id] === 6 && !/^<0x[0-9A-F]{2}>$/.test(token));
  if (bad !== undefined)
    throw fieldError(fields, `${prefix}tokens`, `holds the byte token "${printable(bad, 40)}", not <0x00> … <0xFF>`);
}

function tokenId(fields: GgufFields, name: string, numTokens: number): number | undefined {
  const id = optionalInteger(fields, prefix + name);
  if (id !== undefined && id >= numTokens)
    throw fieldError(fields, prefix + name, `is ${id} in a vocabulary of ${numTokens}`);
  return id;
}
