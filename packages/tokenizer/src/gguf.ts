// A GGUF file keeps the vocabulary but not the pipeline: only a name for the pre-tokenizer. The tokenizer.json built here
// is the one the model's authors published, as far as that name tells. (transformers' own GGUF import ignores the name
// and always uses GPT-2's splitting, so it gives SmolLM2 other ids for numbers than SmolLM2 was trained with.)
import { type GgufTokenizer } from "@welltempered/formats";
import { TokenizerError } from "./errors.ts";
import { addedTokenJson, stringify } from "./files/output.ts";
import { controlToken } from "./files/special-tokens.ts";
import { type BpeSpec, checkMerges, checkPipeline, type JsonRecord, shown } from "./files/tokenizer-json.ts";
import { createFromSpec } from "./hf-tokenizer.ts";
import { type Tokenizer } from "./types.ts";

const CONTROL = 3;
const USER_DEFINED = 4;

interface Splitting {
  normalizer: JsonRecord | null;
  preTokenizer: JsonRecord;
  ignoreMerges: boolean;
}

const byteLevel = (useRegex: boolean): JsonRecord => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
const sequence = (...pretokenizers: JsonRecord[]): JsonRecord => ({
  type: "Sequence",
  pretokenizers,
});
const split = (regex: string): JsonRecord => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false,
});

const GPT2: Splitting = { normalizer: null, preTokenizer: byteLevel(true), ignoreMerges: false };
const DIGITS: Splitting = {
  normalizer: null,
  preTokenizer: sequence({ type: "Digits", individual_digits: true }, byteLevel(true)),
  ignoreMerges: false,
};
const LLAMA3: Splitting = {
  normalizer: null,
  preTokenizer: sequence(
    split(
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    ),
    byteLevel(false),
  ),
  ignoreMerges: true,
};
const QWEN2: Splitting = {
  normalizer: { type: "NFC" },
  preTokenizer: sequence(
    split(
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    ),
    byteLevel(false),
  ),
  ignoreMerges: false,
};

const SPLITTINGS: Readonly<Record<string, Splitting>> = {
  default: GPT2,
  "gpt-2": GPT2,
  smollm: DIGITS,
  "llama-bpe": LLAMA3,
  llama3: LLAMA3,
  "llama-v3": LLAMA3,
  qwen2: QWEN2,
};

/** The tokenizer of a GGUF file; `file` is for messages. Throws where the vocabulary is not byte-level BPE. */
export function createGgufTokenizer(vocabulary: GgufTokenizer, file: string): Tokenizer {
  const { model, pre = "default", merges } = vocabulary;
  const reject = (key: string, what: string): never => {
    throw new TokenizerError(
      "file",
      `${file}:tokenizer.ggml.${key}`,
      what,
      "point model_name_or_path at the Hugging Face folder of the model",
    );
  };
  if (model !== "gpt2") return reject("model", `${shown(model)} is not byte-level BPE (gpt2)`);
  if (merges === undefined || merges.length === 0) return reject("merges", "is missing");
  const splitting = Object.hasOwn(SPLITTINGS, pre) ? SPLITTINGS[pre] : undefined;
  if (splitting === undefined) return reject("pre", `${shown(pre)} is not known`);
  const ids = checkIds(vocabulary, reject);
  const { tokens } = vocabulary;
  const bpe: BpeSpec = {
    kind: "BPE",
    vocab: ids,
    merges: checkMerges(merges, { ids, tokens }, "", `${file}:tokenizer.ggml.merges`),
    unknownToken: undefined,
    fuseUnknown: false,
    byteFallback: false,
    ignoreMerges: splitting.ignoreMerges,
    continuingSubwordPrefix: "",
    endOfWordSuffix: "",
  };
  const pipeline = pipelineJson(vocabulary, splitting);
  const spec = checkPipeline(pipeline, bpe, `${file}/tokenizer.json`);
  return createFromSpec(spec, () => tokenizerJson(pipeline, bpe, vocabulary, merges), otherFiles(vocabulary), file);
}

/** Tokens to ids. */
function checkIds(
  vocabulary: GgufTokenizer,
  reject: (key: string, what: string) => never,
): ReadonlyMap<string, number> {
  const { tokens, tokenTypes, bosTokenId, eosTokenId, padTokenId, unknownTokenId } = vocabulary;
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) ids.set(token, id);
  if (ids.size !== tokens.length) reject("tokens", "holds a token twice");
  if (tokenTypes !== undefined && tokenTypes.length !== tokens.length)
    reject("token_type", `has ${tokenTypes.length} entries for ${tokens.length} tokens`);
  for (const [key, id] of Object.entries({
    bos: bosTokenId,
    eos: eosTokenId,
    padding: padTokenId,
    unknown: unknownTokenId,
  })) {
    if (id !== undefined && !(Number.isInteger(id) && id >= 0 && id < tokens.length))
      reject(`${key}_token_id`, `${shown(id)} is not an id of the ${tokens.length} tokens`);
  }
  return ids;
}

/** What stands beside tokenizer.json. */
function otherFiles(vocabulary: GgufTokenizer): Record<string, string> {
  const { chatTemplate } = vocabulary;
  const map = rolesOf(vocabulary);
  const files: Record<string, string> = {
    "tokenizer_config.json": stringify({
      add_prefix_space: false,
      ...map,
      clean_up_tokenization_spaces: false,
      tokenizer_class: "PreTrainedTokenizerFast",
    }),
    "special_tokens_map.json": stringify(map),
  };
  if (chatTemplate !== undefined) files["chat_template.jinja"] = chatTemplate;
  return files;
}

function addedTokens({ tokens, tokenTypes }: GgufTokenizer): JsonRecord[] {
  return tokens.flatMap((content, id) => {
    const type = tokenTypes?.[id];
    return type === CONTROL || type === USER_DEFINED
      ? [addedTokenJson({ ...controlToken(content, id), special: type === CONTROL })]
      : [];
  });
}

function rolesOf({
  tokens,
  bosTokenId,
  eosTokenId,
  padTokenId,
  unknownTokenId,
}: GgufTokenizer): Record<string, string> {
  const map: Record<string, string> = {};
  for (const [role, id] of Object.entries({
    bos: bosTokenId,
    eos: eosTokenId,
    pad: padTokenId,
    unk: unknownTokenId,
  })) {
    const token = id === undefined ? undefined : tokens[id];
    if (token !== undefined) map[`${role}_token`] = token;
  }
  return map;
}

/** A tokenizer.json but for its model. */
const pipelineJson = (vocabulary: GgufTokenizer, splitting: Splitting): JsonRecord => ({
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: addedTokens(vocabulary),
  normalizer: splitting.normalizer,
  pre_tokenizer: splitting.preTokenizer,
  post_processor: postProcessor(vocabulary),
  decoder: byteLevel(true),
});

function tokenizerJson(
  pipeline: JsonRecord,
  { ignoreMerges }: BpeSpec,
  { tokens }: GgufTokenizer,
  merges: readonly string[],
): JsonRecord {
  const vocab: Record<string, number> = Object.create(null) as Record<string, number>;
  for (const [id, token] of tokens.entries()) vocab[token] = id;
  return {
    ...pipeline,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: ignoreMerges,
      vocab,
      merges: merges.map((merge) => merge.split(" ")),
    },
  };
}

/** Adds BOS or EOS around a text where the file asks for it. */
function postProcessor({ tokens, bosTokenId, eosTokenId, addBosToken, addEosToken }: GgufTokenizer): JsonRecord | null {
  const before = addBosToken === true && bosTokenId !== undefined ? [bosTokenId] : [];
  const after = addEosToken === true && eosTokenId !== undefined ? [eosTokenId] : [];
  if (before.length + after.length === 0) return null;
  const special = (id: number, type: number): JsonRecord => ({
    SpecialToken: { id: tokens[id] ?? "", type_id: type },
  });
  const text = (sequenceName: string, type: number): JsonRecord[] => [
    ...before.map((id) => special(id, type)),
    { Sequence: { id: sequenceName, type_id: type } },
    ...after.map((id) => special(id, type)),
  ];
  const used = [...new Set([...before, ...after])].map(
    (id) => [tokens[id] ?? "", { id: tokens[id] ?? "", ids: [id], tokens: [tokens[id] ?? ""] }] as const,
  );
  return {
    type: "TemplateProcessing",
    single: text("A", 0),
    pair: [...text("A", 0), ...text("B", 1)],
    special_tokens: Object.fromEntries(used),
  };
}
