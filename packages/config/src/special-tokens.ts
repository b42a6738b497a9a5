// The file that `new_special_tokens_config` names: one special token a line, with what it means.
import { ConfigError, shown } from "./errors.ts";
import { readConfigFile, type Entry } from "./file.ts";

/** Token → description. Throws ConfigError; `where` is the place of the key that names the file. */
export function readDescriptions(path: string | undefined, where: string): Record<string, string> {
  if (path === undefined) return {};
  const entries = readConfigFile(path);
  if (entries.length === 0)
    throw new ConfigError("value", where, `new_special_tokens_config: ${shown(path)} names no token`, "add one");
  return Object.fromEntries(entries.map(description));
}

function description({ key, value, keyAt, valueAt }: Entry): [string, string] {
  const [token, text] = [key.trim(), value];
  if (token === "") throw new ConfigError("value", keyAt, "a token is empty", "write `token: description`");
  if (typeof text !== "string")
    throw new ConfigError("value", valueAt, `${shown(token)}: ${shown(text)} is no description`, "write a text");
  return [token, text];
}
