import type { Tokenizer } from "@welltempered/tokenizer";

import type { RowTemplate } from "../messages.ts";

/** A piece of a turn: text, in which `{{content}}` stands for the message, or the tokenizer's own BOS or EOS. */
export type Slot = string | { readonly special: "bos" | "eos" };

/** How tool descriptions and calls are written. */
export type ToolFormat = "default" | "llama3" | "mistral" | "qwen";

/** A chat template as data. Each slot is tokenised on its own, so no merge crosses from one slot to the next. */
export interface TemplateSpec {
  readonly name: string;
  /** Goes before the first turn. */
  readonly prefix?: readonly Slot[];
  readonly system?: readonly Slot[];
  readonly user?: readonly Slot[];
  readonly assistant?: readonly Slot[];
  /** A call the model makes; the assistant's slots where absent. */
  readonly function?: readonly Slot[];
  /** The result of a call; the user's slots where absent. */
  readonly observation?: readonly Slot[];
  readonly toolFormat?: ToolFormat;
  readonly defaultSystem?: string;
  /** Texts that end an answer. */
  readonly stopWords?: readonly string[];
  /** Answers carry no EOS; one ends the sequence. */
  readonly efficientEos?: boolean;
  /** The first stop word becomes the tokenizer's EOS. */
  readonly replaceEos?: boolean;
  /** The tokenizer's own Jinja is replaced by this template's. */
  readonly replaceJinja?: boolean;
  /** The system message goes inside the first user turn. */
  readonly systemInUser?: boolean;
}

/** A template ready to encode with. */
export interface Template extends RowTemplate {
  readonly name: string;
  readonly spec: Required<TemplateSpec>;
  readonly stopWords: readonly string[];
  readonly defaultSystem: string;
  /** Ids that end an answer: EOS and the stop words the vocabulary knows. */
  stopIds(tokenizer: Tokenizer): number[];
}

export interface TemplateOptions {
  /** Control tokens in messages become control tokens (`split_special_tokens: false`); off by default. */
  allowSpecial?: boolean;
  /** Takes the place of the template's own default system message. */
  defaultSystem?: string;
  /** The date that llama3's tool prompt tells; today by default. */
  now?: Date;
}
