import { readFileSync } from "node:fs";
import { crc32, gunzipSync } from "node:zlib";
import type { GgufTokenizer } from "@welltempered/formats";
import { createGgufTokenizer } from "../src/gguf.ts";
import { createTokenizer } from "../src/hf-tokenizer.ts";
import type { Tokenizer } from "../src/types.ts";

/** What tools/python/make_tokenizer_cases.py writes for one tokenizer. */
export interface Cases {
  count: number;
  vocabSize: number;
  plain: Mode;
  special: Mode;
  framed: number[][];
  decoded: [number[], string, string][];
}

interface Mode {
  /** Little-endian u32 in base64. */
  crc: string;
  full: number[][];
}

export function fixture<T>(name: string): T {
  return JSON.parse(
    gunzipSync(readFileSync(new URL(`fixtures/${name}.json.gz`, import.meta.url))).toString("utf8"),
  ) as T;
}

export function smollm2(): Tokenizer {
  const none = { scores: undefined, addEosToken: undefined, addSpacePrefix: undefined };
  return createGgufTokenizer({ ...none, ...fixture<object>("smollm2-vocabulary") } as GgufTokenizer, "smollm2.gguf");
}

export function llama3Style(config: object = { bos_token: "<|begin_of_text|>", eos_token: "<|eot_id|>" }): Tokenizer {
  return createTokenizer(
    {
      "tokenizer.json": JSON.stringify(fixture("llama3-style")),
      "tokenizer_config.json": JSON.stringify(config),
    },
    "llama3-style",
  );
}

/** The stored strings, then two strings for each run of 64 code points. */
export function allStrings(): string[] {
  const strings = fixture<string[]>("strings");
  for (let start = 0; start < 0x110000; start += 64) {
    const points: string[] = [];
    for (let code = start; code < start + 64; code += 1)
      if (code < 0xd800 || code > 0xdfff) points.push(String.fromCodePoint(code));
    if (points.length > 0) strings.push(points.join(""), points.map((c) => `x${c} ${c}7`).join(""));
  }
  return strings;
}

export function idsCrc(ids: readonly number[]): number {
  return crc32(Buffer.from(Uint32Array.from(ids).buffer));
}

export function storedCrcs(mode: Mode): Uint32Array {
  const bytes = Buffer.from(mode.crc, "base64");
  return new Uint32Array(Uint8Array.from(bytes).buffer);
}
