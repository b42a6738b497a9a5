// The library's type declarations import without file extensions, which Node's resolution refuses; what is used of it
// is declared here.
import * as library from "@huggingface/tokenizers";
import { type JsonRecord } from "../files/tokenizer-json.ts";

interface Library {
  SequenceNormalizer: new (config: { type: "Sequence"; normalizers: readonly JsonRecord[] }) => {
    normalize(text: string): string;
  };
  SequenceDecoder: new (config: { type: "Sequence"; decoders: readonly JsonRecord[] }) => {
    decode_chain(tokens: string[]): string[];
  };
  SplitPreTokenizer: new (config: JsonRecord) => { readonly pattern: RegExp | null };
  Unigram: new (config: JsonRecord, eosToken: string) => LibraryModel;
  WordPiece: new (config: JsonRecord) => LibraryModel;
}

/** Calling it encodes words to tokens. */
interface LibraryModel {
  (words: readonly string[]): string[];
  readonly unk_token_id?: number;
}

const typed = library as unknown as Library;
export const SequenceNormalizer: Library["SequenceNormalizer"] = typed.SequenceNormalizer;
export const SequenceDecoder: Library["SequenceDecoder"] = typed.SequenceDecoder;
export const SplitPreTokenizer: Library["SplitPreTokenizer"] = typed.SplitPreTokenizer;
export const Unigram: Library["Unigram"] = typed.Unigram;
export const WordPiece: Library["WordPiece"] = typed.WordPiece;
