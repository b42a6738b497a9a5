import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { createTokenizer, type Tokenizer } from "@welltempered/tokenizer";

import type { LoadOptions, Message, RowTemplate, TokenizeOptions } from "../src/index.ts";

export const FIXTURES: string = join(dirname(fileURLToPath(import.meta.url)), "../../../fixtures/data");

export function readFixture(name: string): string {
  return readFileSync(join(FIXTURES, name), "utf8");
}

export function fixtureTokenizer(name = "tokenizer"): Tokenizer {
  const files = ["tokenizer.json", "tokenizer_config.json"];
  return createTokenizer(Object.fromEntries(files.map((file) => [file, readFixture(`${name}/${file}`)])));
}

/** A template without EOS of its own, as `register_template("efficient")` of tools/python/make_data_cases.py. */
export const efficientTemplate: RowTemplate = {
  efficientEos: true,
  encodeMultiturn(tokenizer, messages, system = "") {
    const ids = messages.map(({ role, content }, index) => {
      const text = role === "user" ? `Q${Math.floor(index / 2)}: ${content}\nA:` : content;
      return tokenizer.encode(text);
    });
    ids[0] = [...tokenizer.encode(system), ...ids[0]!];
    return Array.from({ length: ids.length / 2 }, (_, turn) => [ids[2 * turn]!, ids[2 * turn + 1]!]);
  },
  encodeOneturn(tokenizer, messages, system) {
    const turns = this.encodeMultiturn(tokenizer, messages, system);
    const last = turns.at(-1)!;
    return [[...turns.slice(0, -1).flat(2), ...last[0]], last[1]];
  },
};

export function folderWith(files: Record<string, string | Uint8Array>): string {
  const folder = mkdtempSync(join(tmpdir(), "welltempered-data-"));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

export const LOAD: LoadOptions = {
  stage: "sft",
  datasetDir: join(FIXTURES, "datasets"),
  dataset: [],
  evalDataset: [],
  mixStrategy: "concat",
  valSize: 0,
  evalOnEachDataset: false,
  seed: 42,
  skipBadRows: false,
  predict: false,
};

export const TOKENIZE: TokenizeOptions = {
  stage: "sft",
  cutoffLen: 2048,
  trainOnPrompt: false,
  maskHistory: false,
  neatPacking: false,
  preprocessingBatchSize: 1000,
  splitSpecialTokens: false,
};

const CHATML_SLOTS: Partial<Record<Message["role"], string>> = {
  system: "<|im_start|>system\n{}<|im_end|>\n",
  user: "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
  assistant: "{}<|im_end|>\n",
};

/** ChatML by hand: enough to test rows without the package's own templates. */
export const chatmlTemplate = (trusted: boolean): RowTemplate => ({
  efficientEos: false,
  encodeMultiturn(tokenizer, messages, system = "") {
    const encode = ({ role, content }: Message): number[] => {
      const [before = "", after = ""] = CHATML_SLOTS[role]!.split("{}");
      return tokenizer.encodeParts([
        { text: before, trusted: true },
        { text: content, trusted },
        { text: after, trusted: true },
      ]);
    };
    const ids = messages.map(encode);
    if (system !== "") ids[0] = [...encode({ role: "system", content: system }), ...ids[0]!];
    return Array.from({ length: ids.length / 2 }, (_, turn) => [ids[2 * turn]!, ids[2 * turn + 1]!]);
  },
  encodeOneturn(tokenizer, messages, system) {
    const turns = this.encodeMultiturn(tokenizer, messages, system);
    const last = turns.at(-1)!;
    return [[...turns.slice(0, -1).flat(2), ...last[0]], last[1]];
  },
});
