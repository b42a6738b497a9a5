// Pre-tokenizers with the exact borders of Hugging Face's `tokenizers`. The JavaScript library differs in what counts as
// a space, a digit and a word, and knows only some split behaviours, so these are written anew on its pattern translator.
import { TokenizerError } from "../errors.ts";
import { type Json, type JsonRecord, fail, isRecord, shown } from "../files/tokenizer-json.ts";
import { byteLevelEncode } from "./byte-level.ts";
import { compilePattern } from "./regex.ts";
import { NUMERIC_CLASS, unicode16Shadow } from "./unicode.ts";

/** Splits one piece; `first` tells that it starts the whole text. */
export type PreTokenize = (piece: string, first: boolean) => string[];

type Behavior = "Removed" | "Isolated" | "MergedWithPrevious" | "MergedWithNext" | "Contiguous";

/** Builds the pre-tokenizer of a tokenizer.json; `place` is `file:pre_tokenizer`. */
export function createPreTokenizer(json: JsonRecord, place: string): PreTokenize {
  switch (json["type"]) {
    case "Sequence":
      return sequence(json, place);
    case "ByteLevel":
      return byteLevel(json["add_prefix_space"] === true, json["use_regex"] !== false);
    case "Split":
      return splitter(
        compilePattern(json["pattern"], place),
        behaviorOf(json["behavior"], place),
        json["invert"] === true,
      );
    case "Digits":
      return splitter(DIGIT, json["individual_digits"] === true ? "Isolated" : "Contiguous");
    case "Punctuation":
      return splitter(PUNCTUATION, behaviorOf(json["behavior"] ?? "Isolated", place));
    case "Whitespace":
      return splitter(WORDS, "Removed", true);
    case "WhitespaceSplit":
      return splitter(SPACE, "Removed");
    case "BertPreTokenizer":
      return chain([splitter(SPACE, "Removed"), splitter(PUNCTUATION, "Isolated")]);
    case "CharDelimiterSplit":
      return splitter(compilePattern({ String: json["delimiter"] }, place), "Removed");
    case "Metaspace":
      return metaspace(json);
    case "FixedLength":
      return fixedLength(json["length"], place);
    default:
      throw new TokenizerError(
        "file",
        place,
        `the type ${shown(json["type"])} is not known`,
        "use a model with another tokenizer",
      );
  }
}

const DIGIT = new RegExp(NUMERIC_CLASS, "gu");
const SPACE = /\p{White_Space}+/gu;
const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu;
const WORDS = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{White_Space}]+/gu;
// GPT-2's pattern; \s is written out because JavaScript's contains U+FEFF and lacks U+0085.
const GPT2 =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

function sequence(json: JsonRecord, place: string): PreTokenize {
  const parts = json["pretokenizers"];
  if (!Array.isArray(parts)) return fail(place, "the sequence has no pretokenizers");
  return chain(
    (parts as readonly Json[]).map((part, index) =>
      isRecord(part) ? createPreTokenizer(part, `${place}[${index}]`) : fail(`${place}[${index}]`, "is not an object"),
    ),
  );
}

function chain(parts: readonly PreTokenize[]): PreTokenize {
  return (piece, first) => {
    let pieces = [piece];
    for (const part of parts) pieces = pieces.flatMap((each, index) => part(each, first && index === 0));
    return pieces;
  };
}

function byteLevel(addPrefixSpace: boolean, useRegex: boolean): PreTokenize {
  return (piece) => {
    const text = addPrefixSpace && !piece.startsWith(" ") ? ` ${piece}` : piece;
    const words = useRegex ? matchAll(text, GPT2) : [text];
    return words.map(byteLevelEncode);
  };
}

/** The pieces of a pattern that covers every text. */
function matchAll(text: string, pattern: RegExp): string[] {
  const pieces: string[] = [];
  for (const [start, end] of ranges(text, pattern)) pieces.push(text.slice(start, end));
  return pieces;
}

function ranges(text: string, pattern: RegExp): [number, number][] {
  const found: [number, number][] = [];
  const shadow = pattern === DIGIT ? text : unicode16Shadow(text);
  for (const match of shadow.matchAll(pattern)) {
    if (match[0].length > 0) found.push([match.index, match.index + match[0].length]);
  }
  return found;
}

function behaviorOf(value: Json | undefined, place: string): Behavior {
  const known: readonly Behavior[] = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"];
  const found = known.find((behavior) => behavior === value);
  return found ?? fail(place, `the behavior ${shown(value)} is not known`);
}

interface Piece {
  text: string;
  delimiter: boolean;
}

function splitter(pattern: RegExp, behavior: Behavior, invert = false): PreTokenize {
  return (piece) => applyBehavior(cut(piece, pattern, invert), behavior);
}

/** Every stretch of the text in order, marked as matched or not. */
function cut(text: string, pattern: RegExp, invert: boolean): Piece[] {
  const pieces: Piece[] = [];
  let done = 0;
  for (const [start, end] of ranges(text, pattern)) {
    if (start > done) pieces.push({ text: text.slice(done, start), delimiter: invert });
    pieces.push({ text: text.slice(start, end), delimiter: !invert });
    done = end;
  }
  if (done < text.length) pieces.push({ text: text.slice(done), delimiter: invert });
  return pieces;
}

function applyBehavior(pieces: readonly Piece[], behavior: Behavior): string[] {
  switch (behavior) {
    case "Isolated":
      return pieces.map((piece) => piece.text);
    case "Removed":
      return pieces.filter((piece) => !piece.delimiter).map((piece) => piece.text);
    case "Contiguous":
      return mergeRuns(pieces, (before, piece) => before.delimiter === piece.delimiter);
    case "MergedWithPrevious":
      return mergeRuns(pieces, (before, piece) => piece.delimiter && !before.delimiter);
    case "MergedWithNext":
      return mergeRuns(pieces, (before, piece) => before.delimiter && !piece.delimiter);
    default:
      return behavior satisfies never;
  }
}

function mergeRuns(pieces: readonly Piece[], joins: (before: Piece, piece: Piece) => boolean): string[] {
  const merged: string[] = [];
  let before: Piece | undefined;
  for (const piece of pieces) {
    if (before !== undefined && joins(before, piece)) merged[merged.length - 1] += piece.text;
    else merged.push(piece.text);
    before = piece;
  }
  return merged;
}

function metaspace(json: JsonRecord): PreTokenize {
  const replacement = typeof json["replacement"] === "string" ? json["replacement"] : "▁";
  const scheme = json["prepend_scheme"] ?? (json["add_prefix_space"] === false ? "never" : "always");
  const words = splitter(compilePattern({ String: replacement }, "Metaspace"), "MergedWithNext");
  return (piece, first) => {
    let text = piece.replaceAll(" ", replacement);
    if ((scheme === "always" || (scheme === "first" && first)) && !text.startsWith(replacement))
      text = replacement + text;
    return json["split"] === false ? [text] : words(text, first);
  };
}

function fixedLength(length: Json | undefined, place: string): PreTokenize {
  if (typeof length !== "number" || !Number.isInteger(length) || length < 1)
    return fail(place, `the length ${shown(length)} is not a whole number above 0`);
  return (piece) => {
    const characters = Array.from(piece);
    const pieces: string[] = [];
    for (let at = 0; at < characters.length; at += length) pieces.push(characters.slice(at, at + length).join(""));
    return pieces;
  };
}
