/** A stretch of text; control tokens are recognised only inside trusted stretches. */
export interface TextPart {
  text: string;
  /** Text of a template or of the program, as opposed to text of a user. */
  trusted: boolean;
}

export interface EncodeOptions {
  /** Adds what the post-processor adds around a text (BOS, EOS); off by default. */
  addSpecialTokens?: boolean;
  /** Control tokens written in the text become control tokens; off by default, so that they are plain text. */
  allowSpecial?: boolean;
}

export interface DecodeOptions {
  /** Leaves control tokens out of the text; off by default. */
  skipSpecialTokens?: boolean;
}

/** One control token with its id. */
export interface SpecialToken {
  token: string;
  id: number;
}

/** The control tokens with a role; a role that the model does not have is absent. */
export interface SpecialTokens {
  bos?: SpecialToken;
  eos?: SpecialToken;
  pad?: SpecialToken;
  unk?: SpecialToken;
  /** Control tokens without a role of their own. */
  additional: readonly SpecialToken[];
}

/** Changes to the control tokens; a token the vocabulary does not know is appended to it. */
export interface SpecialTokenChanges {
  bos?: string;
  eos?: string;
  pad?: string;
  additional?: readonly string[];
  chatTemplate?: string;
}

/** Texts by file name, to be written into an output folder as they are. */
export type TokenizerFiles = Readonly<Record<string, string>>;

/** Turns ids that arrive one at a time into text, never half a character. */
export interface StreamDecoder {
  /** The text that is certain after this id; often empty. */
  push(id: number): string;
  /** What is left; an unfinished character becomes U+FFFD. */
  flush(): string;
}

/** Text to ids and back. Immutable: changes give a new tokenizer. */
export interface Tokenizer {
  encode(text: string, options?: EncodeOptions): number[];
  /** Ids of the joined parts; merges cross the borders of parts, control tokens come from trusted parts alone. */
  encodeParts(parts: readonly TextPart[]): number[];
  decode(ids: readonly number[], options?: DecodeOptions): string;
  decodeStream(options?: DecodeOptions): StreamDecoder;
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
  /** Number of tokens, added ones included; the rows an embedding needs at least. */
  readonly vocabSize: number;
  readonly specialTokens: SpecialTokens;
  /** Whether encode with `addSpecialTokens` puts BOS before a text. */
  readonly addBosToken: boolean;
  /** Whether encode with `addSpecialTokens` puts EOS after a text. */
  readonly addEosToken: boolean;
  /** The Jinja source, if the model has one. */
  readonly chatTemplate?: string;
  readonly files: TokenizerFiles;
  isSpecial(id: number): boolean;
  /** The same vocabulary with other control tokens; the files follow. */
  withSpecialTokens(changes: SpecialTokenChanges): Tokenizer;
  /**
   * With these tokens, found in a text before anything else; special ones in trusted text alone, as ever. A text that
   * the vocabulary knows keeps its id. The same tokenizer where nothing is new.
   */
  withAddedTokens(contents: readonly string[], special: boolean): Tokenizer;
}
