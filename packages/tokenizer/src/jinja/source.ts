// Places in a template: the library keeps none, so tags are found here, in the order in which it reads them.
import { type Node, type Token } from "./library.ts";

/** One `{{ }}`, `{% %}` or `{# #}`. */
export interface Tag {
  start: number;
  end: number;
  closed: boolean;
}

const GENERATION = /^\{%-?\s*(?:end)?generation\s*-?%\}$/;

/** The tags of a template, without those of transformers' `generation` marks, which the library drops. */
export function findTags(source: string): Tag[] {
  const tags: Tag[] = [];
  for (let at = source.indexOf("{"); at >= 0; at = source.indexOf("{", at)) {
    const close = { "{": "}}", "%": "%}", "#": "#}" }[source[at + 1] ?? ""];
    if (close === undefined) {
      at += 1;
      continue;
    }
    const end = close === "#}" ? source.indexOf(close, at + 2) : endOfCode(source, at + 2, close);
    const tag = { start: at, end: end < 0 ? source.length : end + 2, closed: end >= 0 };
    if (!GENERATION.test(source.slice(tag.start, tag.end))) tags.push(tag);
    at = tag.end;
  }
  return tags;
}

function endOfCode(source: string, start: number, close: string): number {
  let braces = 0;
  for (let at = start; at < source.length; at += 1) {
    const character = source[at];
    if (character === "'" || character === '"') {
      at = endOfString(source, at, character);
    } else if (braces === 0 && source.startsWith(close, at)) return at;
    else if (character === "{") braces += 1;
    else if (character === "}") braces = Math.max(0, braces - 1);
  }
  return -1;
}

function endOfString(source: string, start: number, quote: string): number {
  let at = start + 1;
  while (at < source.length && source[at] !== quote) at += source[at] === "\\" ? 2 : 1;
  return at;
}

/** `line:column` of an offset, counted from 1. */
export function placeOf(source: string, offset: number): string {
  const before = source.slice(0, offset);
  const line = before.split("\n").length;
  return `${line}:${offset - before.lastIndexOf("\n")}`;
}

const OPENERS: ReadonlySet<string> = new Set(["OpenExpression", "OpenStatement", "Comment"]);

/** The tag that holds each token. */
export function tagOfToken(tokens: readonly Token[], tags: readonly Tag[], index: number): Tag | undefined {
  let count = -1;
  for (const token of tokens.slice(0, index + 1)) if (OPENERS.has(token.type)) count += 1;
  return tags[Math.max(0, Math.min(count, tags.length - 1))];
}

/** Statements that close or divide a block and have no node of their own. */
const DIVIDERS: ReadonlySet<string> = new Set([
  "else",
  "endif",
  "endfor",
  "endmacro",
  "endset",
  "endcall",
  "endfilter",
]);
const BLOCKS: readonly string[] = ["body", "alternate", "defaultBlock"];

/** Offsets of the nodes that are statements or outputs: the tree and the tags, walked side by side. */
export function nodeOffsets(program: Node, tokens: readonly Token[], tags: readonly Tag[]): Map<Node, number> {
  const offsets = new Map<Node, number>();
  const starts = sourceOrder(tokens, tags);
  let next = 0;
  const visit = (node: Node): void => {
    const start = starts[next];
    next += 1;
    if (start !== undefined && start >= 0) offsets.set(node, start);
    for (const block of BLOCKS) {
      const children = node[block];
      if (Array.isArray(children)) for (const child of children as Node[]) visit(child);
    }
  };
  for (const node of program["body"] as Node[]) visit(node);
  return next === starts.length ? offsets : new Map<Node, number>();
}

/** One entry a statement, output, comment or text (−1) in source order. */
function sourceOrder(tokens: readonly Token[], tags: readonly Tag[]): number[] {
  const starts: number[] = [];
  let tag = -1;
  for (const [index, token] of tokens.entries()) {
    if (OPENERS.has(token.type)) tag += 1;
    const divides = token.type === "OpenStatement" && DIVIDERS.has(tokens[index + 1]?.value ?? "");
    if (token.type === "Text") starts.push(-1);
    else if (OPENERS.has(token.type) && !divides) starts.push(tags[tag]?.start ?? -1);
  }
  return starts;
}
