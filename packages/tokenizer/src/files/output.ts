// The files of a tokenizer: those it was read from, unchanged, plus what was changed since.
import { type SpecialTokens, type TokenizerFiles } from "../types.ts";
import { type AddedToken, type JsonRecord, parseRecord } from "./tokenizer-json.ts";
import { ROLES } from "./special-tokens.ts";

/** What differs from the files that were read. */
export interface Edits {
  addedTokens: readonly AddedToken[];
  specialTokens: SpecialTokens;
  chatTemplate: string | undefined;
}

export function stringify(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** The files with the edits applied. */
export function editFiles(files: TokenizerFiles, edits: Edits): TokenizerFiles {
  const { chat_template: _, ...config } = parseRecord(files["tokenizer_config.json"] ?? "{}", "tokenizer_config.json");
  const edited: Record<string, string> = {
    ...files,
    "tokenizer.json": editTokenizerJson(files["tokenizer.json"] ?? "{}", edits.addedTokens),
    "tokenizer_config.json": stringify(editConfig(config, edits)),
    "special_tokens_map.json": stringify(specialTokensMap(edits.specialTokens)),
  };
  if (edits.chatTemplate !== undefined) edited["chat_template.jinja"] = edits.chatTemplate;
  return edited;
}

function editTokenizerJson(text: string, added: readonly AddedToken[]): string {
  const json = parseRecord(text, "tokenizer.json");
  const rows = [...added].sort((a, b) => a.id - b.id).map(addedTokenJson);
  return stringify({ ...json, added_tokens: rows });
}

export function addedTokenJson(token: AddedToken): JsonRecord {
  const { id, content, singleWord, lstrip, rstrip, normalized, special } = token;
  return { id, content, single_word: singleWord, lstrip, rstrip, normalized, special };
}

function editConfig(config: JsonRecord, edits: Edits): JsonRecord {
  const { added_tokens_decoder: listed, ...rest } = config;
  const edited: Record<string, JsonRecord[string]> = {
    ...rest,
    ...specialTokensMap(edits.specialTokens),
  };
  if (listed !== undefined) {
    edited["added_tokens_decoder"] = Object.fromEntries(
      edits.addedTokens.map((token) => {
        const { id, ...entry } = addedTokenJson(token);
        return [String(id), entry];
      }),
    );
  }
  return { tokenizer_class: "PreTrainedTokenizerFast", ...edited };
}

/** The roles as special_tokens_map.json holds them. */
export function specialTokensMap(tokens: SpecialTokens): JsonRecord {
  const map: Record<string, JsonRecord[string]> = {};
  for (const role of ROLES) {
    const token = tokens[role];
    if (token !== undefined) map[`${role}_token`] = token.token;
  }
  if (tokens.additional.length > 0) map["additional_special_tokens"] = tokens.additional.map(({ token }) => token);
  return map;
}
