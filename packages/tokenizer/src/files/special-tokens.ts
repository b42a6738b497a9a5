// Roles of control tokens: tokenizer_config.json first, then special_tokens_map.json, as transformers reads them.
import { type AddedToken, type Json, type JsonRecord, isRecord } from "./tokenizer-json.ts";

export type Role = "bos" | "eos" | "pad" | "unk";
export const ROLES: readonly Role[] = ["bos", "eos", "pad", "unk"];

/** Token texts by role, before they have ids. */
export interface RoleTokens {
  roles: Partial<Record<Role, string>>;
  additional: readonly string[];
}

/** The text of a token given as a string or as an AddedToken object. */
export function tokenText(value: Json | undefined): string | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  return isRecord(value) ? tokenText(value["content"]) : undefined;
}

export function readRoles(config: JsonRecord, map: JsonRecord): RoleTokens {
  const roles: Partial<Record<Role, string>> = {};
  for (const role of ROLES) {
    const key = `${role}_token`;
    const token = tokenText(config[key] === undefined ? map[key] : config[key]);
    if (token !== undefined) roles[role] = token;
  }
  return { roles, additional: readAdditional(config) ?? readAdditional(map) ?? [] };
}

function readAdditional(json: JsonRecord): string[] | undefined {
  const list = json["additional_special_tokens"] ?? json["extra_special_tokens"];
  if (Array.isArray(list)) return (list as readonly Json[]).map(tokenText).filter((token) => token !== undefined);
  return isRecord(list)
    ? Object.values(list)
        .map(tokenText)
        .filter((token) => token !== undefined)
    : undefined;
}

/** Tokens that tokenizer_config.json lists by id. */
export function readAddedTokensDecoder(config: JsonRecord): AddedToken[] {
  const listed = config["added_tokens_decoder"];
  if (!isRecord(listed)) return [];
  const tokens: AddedToken[] = [];
  for (const [key, entry] of Object.entries(listed)) {
    const id = Number(key);
    const content = tokenText(entry);
    if (!isRecord(entry) || content === undefined || !Number.isInteger(id) || id < 0 || id >= 2 ** 24) continue;
    tokens.push({
      id,
      content,
      singleWord: entry["single_word"] === true,
      lstrip: entry["lstrip"] === true,
      rstrip: entry["rstrip"] === true,
      normalized: entry["normalized"] === true,
      special: entry["special"] === true,
    });
  }
  return tokens;
}

/** The chat template of tokenizer_config.json: one text, or the one named `default`. */
export function readChatTemplate(config: JsonRecord): string | undefined {
  const value = config["chat_template"];
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const named = (value as readonly Json[]).filter(isRecord);
  return tokenText((named.find((entry) => entry["name"] === "default") ?? named[0])?.["template"]);
}

/** An AddedToken for a control token the files give by text alone. */
export function controlToken(content: string, id: number): AddedToken {
  return {
    id,
    content,
    singleWord: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  };
}
