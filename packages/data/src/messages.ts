import type { Tokenizer } from "@welltempered/tokenizer";

/** Who speaks in a turn. */
export type Role = "system" | "user" | "assistant" | "observation" | "function";

/** What rows are for: answers to learn, plain text, or pairs of answers to compare. */
export type DataStage = "sft" | "pt" | "dpo" | "rm";

const pairStages: ReadonlySet<DataStage> = new Set(["dpo", "rm"]);
/** Whether the rows of a stage are pairs of answers. */
export const isOfPairs = (stage: DataStage): boolean => pairStages.has(stage);

/** One turn. */
export interface Message {
  role: Role;
  content: string;
}

/** A row in the shape every stage starts from (LlamaFactory's `_prompt`, `_response`, `_system`, `_tools`). */
export interface AlignedRow {
  /** Turns before the answer; an odd number in a usable row. */
  prompt: Message[];
  /** One answer; none in unsupervised rows, two (chosen, rejected) in preference rows. */
  response: Message[];
  system: string;
  /** JSON text of the tool descriptions, or "". */
  tools: string;
  /** `file:line`, for messages. */
  place: string;
}

/** What encoding needs of a template. */
export interface RowTemplate {
  /** Answers carry no EOS of their own; one ends the sequence. */
  readonly efficientEos: boolean;
  encodeOneturn(
    tokenizer: Tokenizer,
    messages: readonly Message[],
    system?: string,
    tools?: string,
  ): [prompt: number[], response: number[]];
  encodeMultiturn(
    tokenizer: Tokenizer,
    messages: readonly Message[],
    system?: string,
    tools?: string,
  ): [prompt: number[], response: number[]][];
}
