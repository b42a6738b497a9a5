import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { type ChatMessage, createTokenizer, type Tokenizer } from "@welltempered/tokenizer";
import type { Message } from "../src/messages.ts";

/** What tools/python/make_template_cases.py writes. */
export interface TemplateFixture {
  conversations: Record<string, Conversation>;
  jinja: Record<string, string>;
  templates: TemplateRow[];
  recovered: RecoveredRow[];
  rendered: RenderedRow[];
}

export interface Conversation {
  messages: Message[];
  system?: string;
  tools?: string;
  /** Holds the text of control tokens. */
  special?: boolean;
}

export interface Encoded {
  pairs: [number[], number[]][];
  oneturn: [number[], number[]];
}

interface TemplateRow {
  template: string;
  config: object;
  size: number;
  stop: number[];
  eos: string;
  pad: string;
  jinja: string | null;
  encoded: Record<string, Encoded>;
}

interface RecoveredRow {
  jinja: string;
  framed: boolean;
  slots: Record<"prefix" | "system" | "user" | "assistant", string[]>;
  default_system: string;
  encoded: Record<string, Encoded>;
}

interface RenderedRow {
  jinja: string;
  messages: ChatMessage[];
  prompt: boolean;
  text?: string;
  ids?: number[];
  error?: string;
}

function gunzip<T>(url: string): T {
  return JSON.parse(gunzipSync(readFileSync(new URL(url, import.meta.url))).toString("utf8")) as T;
}

export const fixture: TemplateFixture = gunzip("fixtures/templates.json.gz");
const tokenizerJson = gunzip<Record<string, unknown>>("../../tokenizer/test/fixtures/llama3-style.json.gz");

/** The Llama-3-style tokenizer with this configuration; `framed` keeps the post-processor that adds BOS. */
export function tokenizerWith(config: object, chatTemplate?: string, framed = true): Tokenizer {
  const files = {
    "tokenizer.json": JSON.stringify(framed ? tokenizerJson : { ...tokenizerJson, post_processor: null }),
    "tokenizer_config.json": JSON.stringify(config),
  };
  return createTokenizer(chatTemplate === undefined ? files : { ...files, "chat_template.jinja": chatTemplate });
}

export const BOS_AND_EOS = { bos_token: "<|begin_of_text|>", eos_token: "<|end_of_text|>" };
