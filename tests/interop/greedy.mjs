// node greedy.mjs MODEL ROWS.json OUT.json ADAPTER TOKENS, an empty ADAPTER being none: what greedy decoding with the KV cache adds to each prompt.
import { readFileSync, writeFileSync } from "node:fs";
import { loadConfig } from "@welltempered/config";
import { generate } from "@welltempered/generate";
import { Engine } from "@welltempered/tensor";
import { loadModel, openBase } from "@welltempered/trainer";

const [, , modelPath, rowsFile, out, adapter, tokens] = process.argv;
const { config } = loadConfig(
  [`model_name_or_path=${modelPath}`, ...(adapter ? [`adapter_name_or_path=${adapter}`] : [])],
  "chat",
);
const engine = Engine.open();
const { model } = loadModel(openBase(config), { engine, config, emit: () => undefined });
const prompts = JSON.parse(readFileSync(rowsFile, "utf8")).map((row) => Int32Array.from(row));
const sampling = { doSample: false, temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1 };
const completions = await generate(model, prompts, { sampling, maxNewTokens: Number(tokens), stopIds: [], seed: 0 });
writeFileSync(out, JSON.stringify(completions.map((completion) => [...completion.tokens])));
