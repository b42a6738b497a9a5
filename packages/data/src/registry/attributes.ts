/** How the rows of a dataset are laid out. */
export type Formatting = "alpaca" | "sharegpt" | "openai";

/** Which field of a row holds what; an absent one is not read. */
export interface Columns {
  prompt?: string;
  query?: string;
  response?: string;
  history?: string;
  messages?: string;
  system?: string;
  tools?: string;
  /** The better and the worse answer of a ranking. */
  chosen?: string;
  rejected?: string;
}

/** Field names inside a message, and the role names a dataset uses. */
export interface Tags {
  role: string;
  content: string;
  user: string;
  assistant: string;
  observation?: string;
  function?: string;
  system?: string;
}

/** One dataset, ready to be read. */
export interface DatasetEntry {
  name: string;
  files: string[];
  formatting: Formatting;
  columns: Columns;
  tags: Tags;
  /** Each row holds a better and a worse answer. */
  ranking: boolean;
  /** Draw this many rows at random, with repetition beyond the size. */
  numSamples?: number;
  /** LlamaFactory's openai format adds Nemotron's "detailed thinking off" to the system prompt; a path given directly does not. */
  thinkingNote: boolean;
}

export const DEFAULT_COLUMNS: Columns = {
  prompt: "instruction",
  query: "input",
  response: "output",
  messages: "conversations",
};

export const DEFAULT_TAGS: Tags = {
  role: "from",
  content: "value",
  user: "human",
  assistant: "gpt",
  observation: "observation",
  function: "function_call",
  system: "system",
};

export const OPENAI_TAGS: Tags = {
  role: "role",
  content: "content",
  user: "user",
  assistant: "assistant",
  observation: "tool",
  function: "function",
  system: "system",
};
