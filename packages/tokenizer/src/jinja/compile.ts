import { printable } from "@welltempered/formats";
import { TokenizerError } from "../errors.ts";
import { type Node, parse, type Token, tokenize } from "./library.ts";
import { MAX_NESTING, MAX_SOURCE, MAX_TOKENS, NESTED } from "./limits.ts";
import { findTags, nodeOffsets, placeOf, type Tag, tagOfToken } from "./source.ts";

/** A template that was read. */
export interface CompiledTemplate {
  source: string;
  program: Node;
  offsets: ReadonlyMap<Node, number>;
}

const FILTERS: ReadonlySet<string> = new Set(
  (
    "abs bool capitalize default dictsort first float get indent int items join keys last length list lower map reject " +
    "rejectattr replace reverse safe select selectattr sort string title tojson trim unique upper values"
  ).split(" "),
);

export const HINT = "correct the template, or set `template` to a named one";

/** A one-line error at an offset of the template. */
export function templateError(
  file: string,
  source: string,
  offset: number | undefined,
  what: string,
  hint: string = HINT,
): TokenizerError {
  const place = offset === undefined ? file : `${file}:${placeOf(source, offset)}`;
  return new TokenizerError("template", place, printable(what, 160), hint);
}

/** Reads a template; throws a one-line error with line and column. */
export function compileTemplate(source: string, file: string): CompiledTemplate {
  const fail = (offset: number | undefined, what: string): never => {
    throw templateError(file, source, offset, what);
  };
  if (source.length > MAX_SOURCE) return fail(undefined, `is larger than ${MAX_SOURCE} characters`);
  if (hasLongBlank(source)) return fail(undefined, "holds too much white space in a row");
  const tags = findTags(source);
  const open = tags.find((tag) => !tag.closed);
  if (open !== undefined) return fail(open.start, "the tag is not closed");
  const tokens = readTokens(source, tags, fail);
  checkTokens(tokens, tags, fail);
  const program = readProgram(tokens, tags, fail);
  return { source, program, offsets: nodeOffsets(program, tokens, tags) };
}

/** The library's lexer takes quadratic time on a run of white space. */
function hasLongBlank(source: string): boolean {
  return /\s{10000}/.test(source);
}

type Fail = (offset: number | undefined, what: string) => never;

function readTokens(source: string, tags: readonly Tag[], fail: Fail): Token[] {
  try {
    return tokenize(source);
  } catch (error) {
    const broken = tags.find((tag) => !isReadable(source.slice(tag.start, tag.end)));
    return fail(broken?.start, reason(error));
  }
}

function isReadable(text: string): boolean {
  try {
    tokenize(text);
    return true;
  } catch {
    return false;
  }
}

/** What went wrong, in the library's words, where they mean something. */
function reason(error: unknown): string {
  if (error instanceof RangeError) return NESTED;
  const message = error instanceof Error ? error.message : "";
  return message === "" || /undefined|reading/.test(message)
    ? "cannot be read as a Jinja template"
    : `cannot be read (${message})`;
}

const OPENING: ReadonlySet<string> = new Set(["OpenParen", "OpenSquareBracket", "OpenCurlyBracket"]);
const CLOSING: ReadonlySet<string> = new Set(["CloseParen", "CloseSquareBracket", "CloseCurlyBracket"]);
const BLOCK_START: ReadonlySet<string> = new Set(["if", "for", "macro", "call", "filter"]);

/** Nesting and filter names are checked before the recursive parser sees the tokens. */
function checkTokens(tokens: readonly Token[], tags: readonly Tag[], fail: Fail): void {
  if (tokens.length > MAX_TOKENS) fail(undefined, "is too long");
  let depth = 0;
  for (const [index, token] of tokens.entries()) {
    const before = tokens[index - 1];
    const keyword = before?.type === "OpenStatement" ? token.value : "";
    if (OPENING.has(token.type) || BLOCK_START.has(keyword)) depth += 1;
    if (CLOSING.has(token.type) || (keyword.startsWith("end") && keyword !== "endset")) depth -= 1;
    if (depth > MAX_NESTING) fail(tagOfToken(tokens, tags, index)?.start, NESTED);
    if (before?.type === "Pipe" && token.type === "Identifier" && !FILTERS.has(token.value)) {
      fail(tagOfToken(tokens, tags, index)?.start, `the filter ${JSON.stringify(token.value)} is not known`);
    }
  }
}

function readProgram(tokens: readonly Token[], tags: readonly Tag[], fail: Fail): Node {
  try {
    return parse(tokens);
  } catch (error) {
    return fail(tagOfToken(tokens, tags, furthest(tokens))?.start, reason(error));
  }
}

/** The last token the parser looked at before it gave up. */
function furthest(tokens: readonly Token[]): number {
  let last = 0;
  const watched = new Proxy(tokens, {
    get(target, key, receiver): unknown {
      const index = typeof key === "string" ? Number(key) : Number.NaN;
      if (index < tokens.length) last = Math.max(last, index);
      return Reflect.get(target, key, receiver) as unknown;
    },
  });
  try {
    parse(watched);
  } catch {
    // It fails here as it did before; how far it came is what is asked.
  }
  return last;
}
