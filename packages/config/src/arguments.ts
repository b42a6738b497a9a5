// The command line: one optional file, then `key=value`, `--key value` or `--key=value`, in any order; later wins.
import { ConfigError, shown } from "./errors.ts";
import { readConfigFile, type Entry } from "./file.ts";
import { supportedKeys } from "./table.ts";

const where = "command line";
const isFile = (word: string): boolean => /\.(ya?ml|json)$/i.test(word) && !word.includes("=");

function usage(what: string, hint: string): never {
  throw new ConfigError("usage", where, what, hint);
}

function setting(key: string, text: string): Entry {
  if (text === "") usage(`${shown(key)} has no value`, "write key=value, or key=null for the default");
  if (text.includes("${")) usage(`${shown(key)}: \${...} interpolation is not supported`, "write the value out");
  return { key, value: text === "null" ? null : text, keyAt: where, valueAt: where };
}

/** Splits `name=value` at the first equals sign. */
function split(word: string): [key: string, value: string | undefined] {
  const equals = word.indexOf("=");
  return equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}

/** Reads a command line into entries, file first. Throws ConfigError. */
export function readArguments(words: readonly string[]): Entry[] {
  const entries: Entry[] = [];
  let file: string | undefined;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word.startsWith("--") && word.length > 2) {
      const [key, value] = split(word.slice(2).replaceAll("-", "_"));
      if (value !== undefined) entries.push(setting(key, word.slice(word.indexOf("=") + 1)));
      else if (takesValue(words[i + 1])) entries.push(setting(key, words[++i] ?? ""));
      else entries.push(loneFlag(key));
    } else if (isFile(word)) {
      if (file !== undefined) usage(`two configuration files, ${shown(file)} and ${shown(word)}`, "give one");
      file = word;
    } else if (split(word)[1] !== undefined && !word.startsWith("-")) {
      const [key, value] = split(word);
      entries.push(setting(key, value ?? ""));
    } else usage(`${shown(word)} is not understood`, "give a .yaml file, key=value or --key value");
  }
  return file === undefined ? entries : [...readConfigFile(file), ...entries];
}

/** A word that begins with a dash is the next flag, unless it is a negative number. */
function takesValue(next: string | undefined): boolean {
  return next !== undefined && (!next.startsWith("-") || /^-[.\d]/.test(next));
}

function loneFlag(key: string): Entry {
  const spec = supportedKeys.get(key);
  if (spec && !spec.isFlag) usage(`--${key} has no value`, `give ${spec.allowed}`);
  return { key, value: true, keyAt: where, valueAt: where };
}
