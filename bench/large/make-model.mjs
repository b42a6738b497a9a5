// A Llama of random weights in bf16, written as Hugging Face writes it, and token ids.
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { architectureOf } from "@welltempered/models";

/** Weights drawn at most; tensors repeat them, each from another place. */
const drawn = 1 << 22;

/** Mulberry32, in [0, 1). */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** bf16 numbers of standard deviation 0.02: sums of uniform ones, cut to 16 bits. */
function noise(random) {
  const values = Float32Array.from({ length: drawn }, () => 0.04 * (random() + random() + random() - 1.5));
  return Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
}

/** Fills `folder` with `model` and `ids.json` as bench/lora-step/ours.mjs reads them. */
export function makeModel(folder, { model, steps, rows, length }) {
  const random = randomNumbers(1);
  const config = { model_type: "llama", architectures: ["LlamaForCausalLM"], tie_word_embeddings: true, ...model };
  mkdirSync(join(folder, "model"), { recursive: true });
  writeFileSync(join(folder, "model/config.json"), JSON.stringify(config));
  const ids = Array.from({ length: steps }, () =>
    Array.from({ length: rows }, () => Array.from({ length }, () => Math.floor(random() * model.vocab_size))),
  );
  writeFileSync(join(folder, "ids.json"), JSON.stringify(ids));
  writeWeights(join(folder, "model/model.safetensors"), architectureOf(config).expectedWeights(), noise(random));
}

function writeWeights(path, shapes, values) {
  let end = 0;
  const header = {};
  for (const [name, shape] of shapes) {
    const begin = end;
    end += 2 * shape.reduce((product, extent) => product * extent, 1);
    header[name] = { dtype: "BF16", shape, data_offsets: [begin, end] };
  }
  const text = JSON.stringify(header);
  const padded = text.padEnd(Math.ceil(text.length / 8) * 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const file = openSync(path, "w");
  writeSync(file, length);
  writeSync(file, padded);
  const ones = new Uint16Array(drawn).fill(0x3f80);
  for (const [
    index,
    {
      shape,
      data_offsets: [begin, stop],
    },
  ] of Object.values(header).entries())
    writeTensor(file, shape.length === 1 ? ones : values, (stop - begin) / 2, 7919 * index);
  closeSync(file);
}

function writeTensor(file, values, count, first) {
  for (let written = 0; written < count;) {
    const part = values.subarray((first + written) % drawn).subarray(0, count - written);
    writeSync(file, new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    written += part.length;
  }
}
