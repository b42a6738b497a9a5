import { DataError } from "../errors.ts";

// Cuts a stream of bytes into the text of single rows before anything is parsed, so that a hostile file costs
// at most one row of memory. `[` first: a JSON array, cut at the commas of its top level. Otherwise: one value a line.

/** No honest row is larger; a hostile one is refused after this many bytes. */
export const MAX_ROW_BYTES: number = 64 << 20;

/** The undecoded text of one row and the line (from 1) it begins on. */
export interface RowText {
  bytes: Uint8Array;
  line: number;
}

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** The bytes of the row being collected; its pieces are copied because the chunks are reused. */
class RowBuffer {
  private pieces: Uint8Array[] = [];
  private size = 0;
  private readonly file: string;
  line = 0;

  constructor(file: string) {
    this.file = file;
  }

  append(chunk: Uint8Array, start: number, end: number): void {
    if (start === end) return;
    this.size += end - start;
    if (this.size > MAX_ROW_BYTES) {
      const what = `the row is longer than ${MAX_ROW_BYTES >> 20} MiB`;
      throw new DataError("syntax", `${this.file}:${this.line}`, what, "split it, or check that it is the right file");
    }
    this.pieces.push(chunk.slice(start, end));
  }

  take(): RowText {
    const bytes = this.pieces.length === 1 && this.pieces[0] ? this.pieces[0] : join(this.pieces, this.size);
    this.pieces = [];
    this.size = 0;
    return { bytes, line: this.line };
  }
}

function join(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const joined = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === NEWLINE || byte === 0x0d || byte === 0x09;
}

function* splitLines(chunks: Iterable<Uint8Array>, file: string): Generator<RowText> {
  const row = new RowBuffer(file);
  row.line = 1;
  for (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      row.append(chunk, start, end);
      yield row.take();
      row.line++;
      start = end + 1;
    }
    row.append(chunk, start, chunk.length);
  }
  yield row.take();
}

type Place = "before array" | "before item" | "in item" | "after array";

/** Walks the bytes of a JSON array; only strings, brackets and top-level commas matter here. */
class ArrayWalker {
  place: Place = "before array";
  line = 1;
  private depth = 0;
  private inString = false;
  private escaped = false;
  private readonly file: string;

  constructor(file: string) {
    this.file = file;
  }

  /** Whether the byte ends an item. */
  step(byte: number): boolean {
    if (byte === NEWLINE) this.line++;
    if (this.place === "in item") return this.stepInItem(byte);
    if (!isSpace(byte)) this.stepBetween(byte);
    return false;
  }

  private stepBetween(byte: number): void {
    if (this.place === "after array") throw this.error("there is text after the closing ]");
    if (this.place === "before array") this.place = "before item";
    else if (byte === CLOSE_BRACKET) this.place = "after array";
    else {
      this.place = "in item";
      this.stepInItem(byte);
    }
  }

  private stepInItem(byte: number): boolean {
    if (this.inString) this.stepInString(byte);
    else if (byte === QUOTE) this.inString = true;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.depth++;
    else if (this.depth === 0 && (byte === COMMA || byte === CLOSE_BRACKET)) {
      this.place = byte === COMMA ? "before item" : "after array";
      return true;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) this.depth--;
    return false;
  }

  private stepInString(byte: number): void {
    if (this.escaped) this.escaped = false;
    else if (byte === BACKSLASH) this.escaped = true;
    else if (byte === QUOTE) this.inString = false;
  }

  error(what: string): DataError {
    return new DataError("syntax", `${this.file}:${this.line}`, what, "correct the JSON");
  }
}

function* splitArray(chunks: Iterable<Uint8Array>, file: string): Generator<RowText> {
  const walker = new ArrayWalker(file);
  const row = new RowBuffer(file);
  for (const chunk of chunks) {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const wasInside = walker.place === "in item";
      const ends = walker.step(chunk[at] ?? 0);
      if (!wasInside && walker.place === "in item") {
        start = at;
        row.line = walker.line;
      }
      if (!ends) continue;
      row.append(chunk, start, at);
      yield row.take();
    }
    if (walker.place === "in item") row.append(chunk, start, chunk.length);
  }
  if (walker.place !== "after array") throw walker.error("the file ends inside the array");
}

/** First chunk without its byte order mark; refuses UTF-16, which would read as garbage. */
function checkEncoding(chunk: Uint8Array, file: string): Uint8Array {
  const [a, b, c, d] = chunk;
  const isUtf16 =
    (a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff) || a === 0 || b === 0 || (c === 0 && d !== undefined);
  if (isUtf16)
    throw new DataError("syntax", `${file}:1`, "is not UTF-8 text (it looks like UTF-16)", "save it as UTF-8");
  return a === 0xef && b === 0xbb && c === 0xbf ? chunk.subarray(3) : chunk;
}

function* withFirst(first: Uint8Array, rest: Iterator<Uint8Array>): Generator<Uint8Array> {
  yield first;
  for (let next = rest.next(); !next.done; next = rest.next()) yield next.value;
}

/** The rows of a JSON array or JSON Lines file, in order; blank lines come out as empty texts. */
export function* splitRows(chunks: Generator<Uint8Array>, file: string): Generator<RowText> {
  try {
    const opening = chunks.next();
    if (opening.done) return;
    const first = checkEncoding(opening.value, file);
    const firstByte = first.find((byte) => !isSpace(byte));
    const all = withFirst(first, chunks);
    yield* firstByte === OPEN_BRACKET ? splitArray(all, file) : splitLines(all, file);
  } finally {
    chunks.return(undefined);
  }
}
