import { type Json, type JsonRecord, fail, isRecord, shown } from "../files/tokenizer-json.ts";
import { byteLevelBytes } from "./byte-level.ts";
import { SequenceDecoder } from "./library.ts";

/** Tokens to pieces of text, to be joined. */
export type Decode = (tokens: string[]) => string[];

/** Whether each token decodes to bytes of its own, so that a stream needs to hold back nothing but half characters. */
export function isByteLevel(json: JsonRecord | undefined): boolean {
  return json?.["type"] === "ByteLevel";
}

/** Builds the decoder of a tokenizer.json; without one, tokens are joined by spaces as in `tokenizers`. */
export function createDecoder(json: JsonRecord | undefined, place: string): Decode {
  if (json === undefined) return (tokens) => [tokens.join(" ")];
  switch (json["type"]) {
    case "Sequence":
      return sequence(json["decoders"], place);
    case "ByteLevel":
      return (tokens) => [new TextDecoder("utf-8", { ignoreBOM: true }).decode(joinBytes(tokens))];
    case "ByteFallback":
      return byteFallback;
    default:
      return libraryDecoder(json, place);
  }
}

function sequence(parts: Json | undefined, place: string): Decode {
  if (!Array.isArray(parts)) return fail(place, "the sequence has no decoders");
  const decoders = (parts as readonly Json[]).map((part, index) =>
    isRecord(part) ? createDecoder(part, `${place}[${index}]`) : fail(`${place}[${index}]`, "is not an object"),
  );
  return (tokens) => decoders.reduce((pieces, decoder) => decoder(pieces), tokens);
}

function libraryDecoder(json: JsonRecord, place: string): Decode {
  try {
    const decoder = new SequenceDecoder({ type: "Sequence", decoders: [json] });
    return (tokens) => decoder.decode_chain(tokens);
  } catch {
    return fail(place, `the type ${shown(json["type"])} is not known`, "use a model with another tokenizer");
  }
}

function joinBytes(tokens: readonly string[]): Uint8Array {
  const parts = tokens.map(byteLevelBytes);
  const bytes = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/** Runs of `<0x..>` become characters; a run that is not UTF-8 becomes one U+FFFD a byte. */
function byteFallback(tokens: string[]): string[] {
  const pieces: string[] = [];
  let run: number[] = [];
  const close = (): void => {
    if (run.length > 0) pieces.push(decodeRun(run));
    run = [];
  };
  for (const token of tokens) {
    const byte = BYTE_TOKEN.exec(token)?.[1];
    if (byte !== undefined) {
      run.push(Number.parseInt(byte, 16));
      continue;
    }
    close();
    pieces.push(token);
  }
  close();
  return pieces;
}

function decodeRun(bytes: readonly number[]): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return "\uFFFD".repeat(bytes.length);
  }
}
