// Added tokens are cut out of a text before the model sees it: first those that match the raw text, then, after
// normalisation, the others. Control tokens count only where the text is trusted.
import { type AddedToken } from "../files/tokenizer-json.ts";

/** A stretch of text, or an added token found in it. */
export type Section = { text: string; start: number } | { id: number };

/** Tells whether control tokens may be recognised in text[start, end). */
export type Trust = (start: number, end: number) => boolean;

export type AddedTokenSplitter = (text: string, trust: Trust) => Section[];

interface Node {
  next: Map<number, Node>;
  token: AddedToken | undefined;
}

/** Finds the leftmost longest added tokens; `spell` gives the form in which a token appears in the text. */
export function createSplitter(tokens: readonly AddedToken[], spell: (content: string) => string): AddedTokenSplitter {
  const root: Node = { next: new Map(), token: undefined };
  for (const token of tokens) insert(root, spell(token.content), token);
  if (root.next.size === 0) return (text) => [{ text, start: 0 }];
  return (text, trust) => split(text, root, trust);
}

function insert(root: Node, spelling: string, token: AddedToken): void {
  if (spelling === "") return;
  let node = root;
  for (let i = 0; i < spelling.length; i += 1) {
    const unit = spelling.charCodeAt(i);
    let next = node.next.get(unit);
    if (next === undefined) node.next.set(unit, (next = { next: new Map(), token: undefined }));
    node = next;
  }
  node.token ??= token;
}

function split(text: string, root: Node, trust: Trust): Section[] {
  const sections: Section[] = [];
  let done = 0;
  for (let at = 0; at < text.length;) {
    const match = longestMatch(text, at, root);
    if (match === undefined) {
      at += 1;
      continue;
    }
    const { token, end } = match;
    const from = at;
    at = end;
    if ((token.special && !trust(from, end)) || (token.singleWord && !isSingleWord(text, from, end))) continue;
    const start = token.lstrip ? Math.max(done, spacesBefore(text, from)) : from;
    const stop = token.rstrip ? spacesAfter(text, end) : end;
    if (start > done) sections.push({ text: text.slice(done, start), start: done });
    sections.push({ id: token.id });
    done = stop;
    at = Math.max(at, stop);
  }
  if (done < text.length) sections.push({ text: text.slice(done), start: done });
  return sections;
}

function longestMatch(text: string, start: number, root: Node): { token: AddedToken; end: number } | undefined {
  let found: { token: AddedToken; end: number } | undefined;
  let node: Node | undefined = root;
  for (let at = start; at < text.length; at += 1) {
    node = node.next.get(text.charCodeAt(at));
    if (node === undefined) break;
    if (node.token !== undefined) found = { token: node.token, end: at + 1 };
  }
  return found;
}

const WORD_BEFORE = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]$/u;
const WORD_AFTER = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]/u;

function isSingleWord(text: string, start: number, end: number): boolean {
  return !WORD_BEFORE.test(text.slice(Math.max(0, start - 2), start)) && !WORD_AFTER.test(text.slice(end, end + 2));
}

const SPACE = /\p{White_Space}/u;

function spacesBefore(text: string, end: number): number {
  let start = end;
  while (start > 0 && SPACE.test(text[start - 1] ?? "")) start -= 1;
  return start;
}

function spacesAfter(text: string, start: number): number {
  let end = start;
  while (end < text.length && SPACE.test(text[end] ?? "")) end += 1;
  return end;
}
