// node uniform.mjs ANSWER NAME SEED COUNT: numbers in [-0.3, 0.7) of the stream with that name, f32.
import { writeFileSync } from "node:fs";
import { Engine, streamOf } from "@welltempered/tensor";

const [, , out, name, seed, count] = process.argv;
const engine = Engine.open();
engine.rng.seed = Number(seed);
const { buffer } = await engine.uniform([Number(count)], -0.3, 0.7, streamOf(name)).read();
writeFileSync(out, new Uint8Array(buffer));
