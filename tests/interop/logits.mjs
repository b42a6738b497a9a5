// node logits.mjs MODEL ROWS.json OUT [ADAPTER]: f32 logits of every row of every sequence, one after another.
import { readFileSync, writeFileSync } from "node:fs";
import { loadConfig } from "@welltempered/config";
import { packRows } from "@welltempered/nn";
import { Engine } from "@welltempered/tensor";
import { loadModel, openBase } from "@welltempered/trainer";

const [, , modelPath, rowsFile, out, adapter] = process.argv;
const rows = JSON.parse(readFileSync(rowsFile, "utf8"));
const settings = [`model_name_or_path=${modelPath}`, ...(adapter ? [`adapter_name_or_path=${adapter}`] : [])];
const { config } = loadConfig(settings, "chat");
const engine = Engine.open();
const { model } = loadModel(openBase(config), { engine, config, batchTokens: 0, emit: () => undefined });
const logits = engine.noGrad(() => engine.scope(() => model.lm_head.forward(model.forward(packRows(rows)))));
const numbers = await logits.read();
writeFileSync(out, new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
