// Reads a configuration file into entries with positions. YAML 1.2; JSON is a subset of it, so one reader serves both.
// Nothing that a flat list of settings needs is missing, and nothing that can surprise is allowed: no aliases, merges,
// tags, second documents or deep nesting.
import { readText } from "#read-text";
import { CST, Composer, LineCounter, Parser, isAlias, isMap, isScalar, isSeq } from "yaml";
import type { Document, Pair, ParsedNode } from "yaml";
import { ConfigError, shown } from "./errors.ts";

/** One setting as it was written, and where, for messages. */
export interface Entry {
  key: string;
  value: unknown;
  keyAt: string;
  valueAt: string;
}

const maxDepth = 32;

/** Reads a `.yaml`, `.yml` or `.json` file. Throws ConfigError with `file:line:column`. */
export function readConfigFile(path: string): Entry[] {
  return parseConfigText(readText(path), path);
}

/** As readConfigFile, of text already in memory; `path` is only for messages. */
export function parseConfigText(text: string, path: string): Entry[] {
  const lines = new LineCounter();
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const fail = (offset: number, what: string, hint: string): never => {
    throw new ConfigError("syntax", at(offset), what, hint);
  };
  const document = compose(text, lines, fail);
  const root = document?.contents;
  if (!root || (isScalar(root) && root.value === null)) return [];
  if (!isMap(root)) return fail(root.range[0], "expected `key: value` lines", "write one setting per line");
  return root.items.map((pair) => entry(pair as Pair<ParsedNode, ParsedNode | null>, at, fail));
}

type Fail = (offset: number, what: string, hint: string) => never;

function compose(text: string, lines: LineCounter, fail: Fail): Document.Parsed | undefined {
  const composer = new Composer({ prettyErrors: false, uniqueKeys: true, merge: false, logLevel: "silent" });
  const tokens = [...new Parser(lines.addNewLine).parse(text)];
  for (const token of tokens) checkDepth(token, fail);
  const documents = [...composer.compose(tokens, false, text.length)] as Document.Parsed[];
  for (const document of documents) {
    const [error] = [...document.errors, ...document.warnings];
    if (error) fail(error.pos[0], sentence(error.message), "correct the YAML");
  }
  const second = documents[1];
  if (second) fail(second.range[0], "a second document begins", "keep one configuration per file");
  return documents[0];
}

/** The library's own words, as one short clause. */
function sentence(message: string): string {
  const text = (message.split("\n")[0] ?? message).replace(/[.:]+$/, "");
  return shown(text).slice(1, -1);
}

/** Walks the syntax tree without recursion, so that a file of brackets cannot exhaust the stack. */
function checkDepth(root: CST.Token, fail: Fail): void {
  const open: [token: CST.Token, depth: number][] = [[root, 0]];
  for (let next = open.pop(); next; next = open.pop()) {
    const [token, depth] = next;
    if (depth > maxDepth) fail(token.offset, `nested deeper than ${maxDepth}`, "settings are flat: remove the nesting");
    for (const child of children(token)) open.push([child, depth + 1]);
  }
}

function children(token: CST.Token): CST.Token[] {
  if (token.type === "document") return token.value ? [token.value] : [];
  if (!("items" in token)) return [];
  return token.items.flatMap(({ key, value }) => [key, value].filter((part): part is CST.Token => !!part));
}

function entry(pair: Pair<ParsedNode, ParsedNode | null>, at: (offset: number) => string, fail: Fail): Entry {
  const { key, value } = pair;
  const keyOffset = key.range[0];
  if (!isScalar(key) || typeof key.value !== "string")
    return fail(keyOffset, "a key must be a word", "write `key: value`");
  if (key.value === "<<") return fail(keyOffset, "merge keys (<<) are not supported", "write the settings out");
  const valueOffset = value?.range[0] ?? keyOffset;
  return { key: key.value, value: plain(value, fail), keyAt: at(keyOffset), valueAt: at(valueOffset) };
}

function plain(node: ParsedNode | null, fail: Fail): unknown {
  if (!node) return null;
  if (isAlias(node)) return fail(node.range[0], "aliases (*) are not supported", "write the value out");
  if (node.tag && !node.tag.startsWith("tag:yaml.org,2002:"))
    return fail(node.range[0], `tag ${shown(node.tag)} is not supported`, "write a plain value");
  if (isSeq(node)) return node.items.map((item) => plain(item, fail));
  if (isMap(node)) return Object.fromEntries(node.items.map((pair) => property(pair, fail)));
  if (typeof node.value === "string" && node.value.includes("${"))
    return fail(node.range[0], "${...} interpolation is not supported", "write the value out");
  return node.value;
}

function property(pair: Pair<ParsedNode, ParsedNode | null>, fail: Fail): [string, unknown] {
  const { key, value } = pair;
  if (!isScalar(key)) return fail(key.range[0], "a key must be a word", "write `key: value`");
  if (key.value === "<<") return fail(key.range[0], "merge keys (<<) are not supported", "write the settings out");
  return [String(key.value), plain(value, fail)];
}
