// node logits.mjs MODEL ROWS.json OUT [ADAPTER | cached]: f32 logits of every row of every sequence, one after another;
// "cached": as generation computes them, half of each sequence at once and then token by token.
import { readFileSync, writeFileSync } from "node:fs";
import { loadConfig } from "@welltempered/config";
import { KvCache, packRows } from "@welltempered/nn";
import { Engine } from "@welltempered/tensor";
import { loadModel, openBase } from "@welltempered/trainer";

const [, , modelPath, rowsFile, out, extra] = process.argv;
const adapter = extra === "cached" ? undefined : extra;
const rows = JSON.parse(readFileSync(rowsFile, "utf8"));
const settings = [`model_name_or_path=${modelPath}`, ...(adapter ? [`adapter_name_or_path=${adapter}`] : [])];
const { config } = loadConfig(settings, "chat");
const engine = Engine.open();
const { model } = loadModel(openBase(config), { engine, config, emit: () => undefined });

const logitsOf = (packed, cache) =>
  engine.noGrad(() => engine.scope(() => model.logits(model.forward(packed, cache)))).read();

/** [step][sequence] → all logits of a sequence, in the order of the sequences. */
async function cachedLogits() {
  const capacity = Math.max(...rows.map((row) => row.length));
  const cache = new KvCache(engine, { ...model.cacheShape, sequences: rows.length, capacity });
  const parts = rows.map(() => []);
  let held = rows.map(() => 0);
  while (held.some((count, index) => count < rows[index].length)) {
    cache.active = [...rows.keys()].filter((index) => held[index] < rows[index].length);
    const ends = rows.map((row, index) => (held[index] === 0 ? Math.ceil(row.length / 2) : held[index] + 1));
    const packed = packRows(cache.active.map((index) => rows[index].slice(held[index], ends[index])));
    for (const [at, { start, length }] of packed.segments.entries())
      for (let row = 0; row < length; row++) packed.positions[start + row] += held[cache.active[at]];
    const logits = await logitsOf(packed, cache);
    const vocabulary = logits.length / packed.tokens.length;
    for (const [at, { start, length }] of packed.segments.entries())
      parts[cache.active[at]].push(logits.slice(start * vocabulary, (start + length) * vocabulary));
    held = held.map((count, index) => (cache.active.includes(index) ? ends[index] : count));
  }
  return Float32Array.from(parts.flat().flatMap((part) => [...part]));
}

const numbers = extra === "cached" ? await cachedLogits() : await logitsOf(packRows(rows));
writeFileSync(out, new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
