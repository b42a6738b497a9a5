// node neftune.mjs REQUEST.json OUT: the noise of each micro-batch, f32, one after another.
// REQUEST: {seed, width, batches: [{step, micro, rows, bound}]}
import { readFileSync, writeFileSync } from "node:fs";
import { Engine, streamOf } from "@welltempered/tensor";

const [, , request, out] = process.argv;
const { seed, width, batches } = JSON.parse(readFileSync(request, "utf8"));
const engine = Engine.open();
const parts = [];
for (const { step, micro, rows, bound } of batches) {
  Object.assign(engine.rng, { seed, step, micro });
  const { buffer } = await engine.uniform([rows, width], -bound, bound, streamOf("neftune")).read();
  parts.push(Buffer.from(buffer));
}
writeFileSync(out, Buffer.concat(parts));
