// tokenizer.json comes from strangers: everything is checked here, before a model is built. The Rust library panics on
// several of these inputs (a merge longer than any key, a chunk length of 0); here each is a one-line error.
import { TokenizerError } from "../errors.ts";

export type Json = null | boolean | number | string | readonly Json[] | JsonRecord;
export interface JsonRecord {
  readonly [key: string]: Json | undefined;
}

export interface AddedToken {
  id: number;
  content: string;
  singleWord: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
  special: boolean;
}

export interface BpeSpec {
  kind: "BPE";
  vocab: ReadonlyMap<string, number>;
  /** Ids in order of rank: left, right, what they become. */
  merges: Int32Array;
  unknownToken: string | undefined;
  fuseUnknown: boolean;
  byteFallback: boolean;
  ignoreMerges: boolean;
  continuingSubwordPrefix: string;
  endOfWordSuffix: string;
}

/** A model that the library runs: its JSON is handed on. */
export interface LibrarySpec {
  kind: "Unigram" | "WordPiece";
  vocab: ReadonlyMap<string, number>;
  json: JsonRecord;
}

/** A checked tokenizer.json. */
export interface TokenizerSpec {
  file: string;
  model: BpeSpec | LibrarySpec;
  addedTokens: readonly AddedToken[];
  normalizer: JsonRecord | undefined;
  preTokenizer: JsonRecord | undefined;
  postProcessor: JsonRecord | undefined;
  decoder: JsonRecord | undefined;
}

const MAX_TOKEN_ID = 2 ** 24 - 1;
const HINT = "check that the file is complete and came from a Hugging Face model folder";

export function fail(file: string, what: string, hint: string = HINT): never {
  throw new TokenizerError("file", file, what, hint);
}

export function isRecord(value: Json | undefined): value is JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Shortens and escapes text from a file for a message. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 48 ? `${text.slice(0, 45)}…` : text;
}

/** Parses a JSON object; `file` is for messages. */
export function parseRecord(text: string, file: string): JsonRecord {
  let value: Json;
  try {
    value = JSON.parse(text.startsWith("\uFEFF") ? text.slice(1) : text) as Json;
  } catch (error) {
    const detail = error instanceof Error ? error.message.replace(/[^\x20-\x7e]/g, "?").slice(0, 100) : "";
    return fail(file, `is not valid JSON (${detail})`);
  }
  return isRecord(value) ? value : fail(file, "does not hold a JSON object");
}

/** Checks a parsed tokenizer.json; throws a one-line error that names what is wrong. */
export function checkTokenizerJson(json: JsonRecord, file: string): TokenizerSpec {
  checkTruncation(json["truncation"], file);
  const model = checkModel(json["model"], file);
  const addedTokens = checkAddedTokens(json["added_tokens"], file);
  const spec: TokenizerSpec = {
    file,
    model,
    addedTokens,
    normalizer: component(json, "normalizer", file),
    preTokenizer: component(json, "pre_tokenizer", file),
    postProcessor: component(json, "post_processor", file),
    decoder: component(json, "decoder", file),
  };
  return spec;
}

function component(json: JsonRecord, key: string, file: string): JsonRecord | undefined {
  const value = json[key];
  if (value === undefined || value === null) return undefined;
  if (!isRecord(value) || typeof value["type"] !== "string") fail(`${file}:${key}`, "is not an object with a type");
  return value;
}

function checkTruncation(value: Json | undefined, file: string): void {
  if (!isRecord(value)) return;
  const { stride, max_length: maxLength } = value;
  if (typeof stride === "number" && typeof maxLength === "number" && stride >= maxLength) {
    fail(`${file}:truncation`, `stride ${stride} is not below max_length ${maxLength}`, "lower the stride");
  }
}

function checkModel(value: Json | undefined, file: string): BpeSpec | LibrarySpec {
  if (!isRecord(value)) return fail(`${file}:model`, "is missing");
  const type = value["type"] ?? (value["merges"] === undefined ? undefined : "BPE");
  switch (type) {
    case "BPE":
      return checkBpe(value, file);
    case "WordPiece":
      return { kind: type, vocab: checkVocab(value["vocab"], file), json: value };
    case "Unigram":
      return checkUnigram(value, file);
    default:
      return fail(
        `${file}:model.type`,
        `${shown(type)} is not known`,
        "use a model whose tokenizer is BPE, Unigram or WordPiece",
      );
  }
}

function checkVocab(value: Json | undefined, file: string): Map<string, number> {
  if (!isRecord(value)) return fail(`${file}:model.vocab`, "is not an object of tokens and ids");
  const vocab = new Map<string, number>();
  const seen = new Set<number>();
  const place = `${file}:model.vocab`;
  for (const [token, id] of Object.entries(value)) {
    const checked = checkId(id, place, token);
    if (seen.has(checked)) fail(place, `id ${checked} is given to two tokens, one is ${shown(token)}`);
    seen.add(checked);
    vocab.set(token, checked);
  }
  return vocab;
}

function checkId(id: Json | undefined, place: string, token: string): number {
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= MAX_TOKEN_ID) return id;
  return fail(place, `token ${shown(token)} has id ${shown(id)}, not a whole number from 0 to ${MAX_TOKEN_ID}`);
}

function checkBpe(json: JsonRecord, file: string): BpeSpec {
  const vocab = checkVocab(json["vocab"], file);
  const unknownToken = text(json["unk_token"]);
  const continuingSubwordPrefix = text(json["continuing_subword_prefix"]) ?? "";
  return {
    kind: "BPE",
    vocab,
    merges: checkMerges(json["merges"], vocab, continuingSubwordPrefix, file),
    unknownToken,
    fuseUnknown: json["fuse_unk"] === true,
    byteFallback: json["byte_fallback"] === true,
    ignoreMerges: json["ignore_merges"] === true,
    continuingSubwordPrefix,
    endOfWordSuffix: text(json["end_of_word_suffix"]) ?? "",
  };
}

function text(value: Json | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** A large vocabulary has as many merges as tokens, so names of places are made where something is wrong. */
function checkMerges(
  value: Json | undefined,
  vocab: ReadonlyMap<string, number>,
  prefix: string,
  file: string,
): Int32Array {
  if (!Array.isArray(value)) return fail(`${file}:model.merges`, "is not a list");
  const merges = new Int32Array(3 * value.length);
  let filled = 0;
  for (const [index, entry] of (value as readonly Json[]).entries()) {
    if (typeof entry === "string" && entry.startsWith("#version")) continue;
    const place = (): string => `${file}:model.merges[${index}]`;
    const [left, right] = splitMerge(entry) ?? fail(place(), `${shown(entry)} is not a pair of tokens`);
    const merged = left + (right.startsWith(prefix) ? right.slice(prefix.length) : right);
    for (const token of [left, right, merged]) {
      const id = vocab.get(token);
      if (id === undefined)
        return fail(place(), `${shown(entry)} needs the token ${shown(token)}, which is not in the vocabulary`);
      merges[filled++] = id;
    }
  }
  return merges.subarray(0, filled);
}

function splitMerge(entry: Json): [string, string] | undefined {
  const pair = typeof entry === "string" ? entry.split(" ") : entry;
  if (!Array.isArray(pair) || pair.length !== 2) return undefined;
  const [left, right] = pair as Json[];
  return typeof left === "string" && typeof right === "string" && left !== "" && right !== ""
    ? [left, right]
    : undefined;
}

function checkUnigram(json: JsonRecord, file: string): LibrarySpec {
  const rows = json["vocab"];
  if (!Array.isArray(rows) || rows.length === 0)
    return fail(`${file}:model.vocab`, "is not a list of tokens and scores");
  const vocab = new Map<string, number>();
  for (const [index, row] of (rows as readonly Json[]).entries()) {
    const [token, score] = Array.isArray(row) ? (row as Json[]) : [];
    if (typeof token !== "string" || typeof score !== "number")
      fail(`${file}:model.vocab[${index}]`, "is not a token with a score");
    else vocab.set(token, index);
  }
  const unknown = json["unk_id"];
  if (
    unknown !== undefined &&
    unknown !== null &&
    !(typeof unknown === "number" && Number.isInteger(unknown) && unknown >= 0 && unknown < rows.length)
  ) {
    fail(`${file}:model.unk_id`, `${shown(unknown)} is not an id of the vocabulary`);
  }
  return { kind: "Unigram", vocab, json };
}

function checkAddedTokens(value: Json | undefined, file: string): AddedToken[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return fail(`${file}:added_tokens`, "is not a list");
  return (value as readonly Json[]).map((entry, index) => checkAddedToken(entry, `${file}:added_tokens[${index}]`));
}

function checkAddedToken(entry: Json, place: string): AddedToken {
  if (!isRecord(entry)) return fail(place, "is not an object");
  const content = entry["content"];
  if (typeof content !== "string" || content === "") return fail(place, "has no content");
  const special = entry["special"] === true;
  return {
    id: checkId(entry["id"], place, content),
    content,
    singleWord: entry["single_word"] === true,
    lstrip: entry["lstrip"] === true,
    rstrip: entry["rstrip"] === true,
    normalized: typeof entry["normalized"] === "boolean" ? entry["normalized"] : !special,
    special,
  };
}
