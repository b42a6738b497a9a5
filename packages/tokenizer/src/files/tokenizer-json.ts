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
  return checkPipeline(json, checkModel(json["model"], file), file);
}

/** Checks what is around a model. */
export function checkPipeline(json: JsonRecord, model: TokenizerSpec["model"], file: string): TokenizerSpec {
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
      return { kind: type, vocab: checkVocab(value["vocab"], file).ids, json: value };
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

/** Tokens to ids and, where nothing else has the id, back. */
export interface Vocabulary {
  ids: ReadonlyMap<string, number>;
  tokens: readonly (string | undefined)[];
}

function checkVocab(value: Json | undefined, file: string): Vocabulary {
  if (!isRecord(value)) return fail(`${file}:model.vocab`, "is not an object of tokens and ids");
  const ids = new Map<string, number>();
  const tokens: string[] = [];
  const place = `${file}:model.vocab`;
  for (const token of Object.keys(value)) {
    const id = checkId(value[token], place, token);
    if (tokens[id] !== undefined) fail(place, `id ${id} is given to two tokens, one is ${shown(token)}`);
    tokens[id] = token;
    ids.set(token, id);
  }
  return { ids, tokens };
}

function checkId(id: Json | undefined, place: string, token: string): number {
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= MAX_TOKEN_ID) return id;
  return fail(place, `token ${shown(token)} has id ${shown(id)}, not a whole number from 0 to ${MAX_TOKEN_ID}`);
}

function checkBpe(json: JsonRecord, file: string): BpeSpec {
  const vocabulary = checkVocab(json["vocab"], file);
  const unknownToken = text(json["unk_token"]);
  const continuingSubwordPrefix = text(json["continuing_subword_prefix"]) ?? "";
  return {
    kind: "BPE",
    vocab: vocabulary.ids,
    merges: checkMerges(json["merges"], vocabulary, continuingSubwordPrefix, `${file}:model.merges`),
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

/**
 * Merges as ids, three each. A large vocabulary has as many of them as tokens, so names of places are made where something is
 * wrong, and what two tokens become, a new string, is first held against the token after the one before it: in most files
 * that is it.
 */
export function checkMerges(
  value: Json | undefined,
  { ids, tokens }: Vocabulary,
  prefix: string,
  place: string,
): Int32Array {
  if (!Array.isArray(value)) return fail(place, "is not a list");
  const merges = new Int32Array(3 * value.length);
  let filled = 0;
  let guess = 0;
  for (const [index, entry] of (value as readonly Json[]).entries()) {
    if (typeof entry === "string" && entry.startsWith("#version")) continue;
    const missing = (token: string): never =>
      fail(`${place}[${index}]`, `${shown(entry)} needs the token ${shown(token)}, which is not in the vocabulary`);
    const [left, right] = splitMerge(entry) ?? fail(`${place}[${index}]`, `${shown(entry)} is not a pair of tokens`);
    merges[filled++] = ids.get(left) ?? missing(left);
    merges[filled++] = ids.get(right) ?? missing(right);
    const end = prefix !== "" && right.startsWith(prefix) ? right.slice(prefix.length) : right;
    if (!isJoined(tokens[guess], left, end)) guess = ids.get(left + end) ?? missing(left + end);
    merges[filled++] = guess++;
  }
  return merges.subarray(0, filled);
}

const isJoined = (token: string | undefined, left: string, right: string): boolean =>
  token !== undefined && token.length === left.length + right.length && token.startsWith(left) && token.endsWith(right);

function splitMerge(entry: Json): [string, string] | undefined {
  if (typeof entry === "string") {
    const at = entry.indexOf(" ");
    const one = at > 0 && at + 1 < entry.length && !entry.includes(" ", at + 1);
    return one ? [entry.slice(0, at), entry.slice(at + 1)] : undefined;
  }
  if (!Array.isArray(entry) || entry.length !== 2) return undefined;
  const [left, right] = entry as Json[];
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
