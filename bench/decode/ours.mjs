// generate(), greedy, one call for each line on standard input.
// usage: ours.mjs <model folder or GGUF> <prompts.json> <threads> <f32 | bf16> [quantization_type]
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { loadConfig } from "@welltempered/config";
import { generate } from "@welltempered/generate";
import { Engine } from "@welltempered/tensor";
import { loadModel, openBase } from "@welltempered/trainer";

const [path, promptsFile, threads, precision, quantization] = process.argv.slice(2);
const quantized = quantization === undefined ? [] : ["quantization_bit=4", `quantization_type=${quantization}`];
const { config } = loadConfig([`model_name_or_path=${path}`, ...quantized], "chat");
const engine = Engine.open({ device: "cpu", threads: Number(threads), matmulPrecision: precision });
const { model } = loadModel(openBase(config), { engine, config, emit: () => undefined });
const prompts = JSON.parse(readFileSync(promptsFile, "utf8")).map((row) => Int32Array.from(row));
const sampling = { doSample: false, temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1 };
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

// The head is tied: a token goes through every weight.
say({ weightBytes: engine.liveBytes() });
for await (const line of createInterface({ input: process.stdin })) {
  const { batch, tokens } = JSON.parse(line);
  const started = performance.now();
  const made = await generate(model, prompts.slice(0, batch), { sampling, maxNewTokens: tokens, stopIds: [], seed: 0 });
  say({ seconds: (performance.now() - started) / 1000, tokens: made.map((completion) => [...completion.tokens]) });
}
