// A Llama as wide as SmolLM2-135M with 10 of its 30 layers, random, and rows of Docker questions for it, plain and as pairs.
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeSafetensors } from "@welltempered/checkpoint";
import { architectureOf } from "@welltempered/models";
import { Engine } from "@welltempered/tensor";
import { root } from "../../tools/lib.mjs";
import { shapes } from "../lora-step/shapes.mjs";

const tokenizer = join(root, "fixtures/llamafactory/model");
const config = {
  ...JSON.parse(readFileSync(join(tokenizer, "config.json"), "utf8")),
  ...shapes["135m"].model,
  head_dim: 64,
  num_hidden_layers: 10,
  tie_word_embeddings: true,
};

/** Folder of the model, made once. */
export async function model() {
  const folder = join(root, ".cache/bench/plan-model");
  if (existsSync(join(folder, "model.safetensors"))) return folder;
  mkdirSync(folder, { recursive: true });
  for (const name of ["tokenizer.json", "tokenizer_config.json", "generation_config.json"])
    cpSync(join(tokenizer, name), join(folder, name));
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const engine = Engine.open({});
  const fresh = (shape, stream) => (shape.length === 1 ? engine.ones(shape) : engine.normal(shape, 0, 0.02, stream));
  const tensors = [...architectureOf(config).expectedWeights()].map(([name, shape], stream) => ({
    name,
    dtype: "F32",
    shape: [...shape],
    bytes: () => engine.scopeAsync(async () => engine.backend.read(fresh(shape, stream).slot)),
  }));
  await writeSafetensors(join(folder, "model.safetensors"), tensors);
  return folder;
}

/** Folder of the data sets `docker` and `pairs`: an answer, and the next row's as the worse one. */
export function data() {
  const folder = join(root, ".cache/bench/plan-data");
  mkdirSync(folder, { recursive: true });
  const rows = JSON.parse(readFileSync(join(root, "examples/data/docker_train.json"), "utf8"));
  const pairs = rows.map((row, at) => ({
    instruction: `${row.instruction} ${row.input ?? ""}`.trim(),
    chosen: row.output,
    rejected: rows[(at + 1) % rows.length].output,
  }));
  const info = {
    docker: { file_name: "docker.json" },
    pairs: {
      file_name: "pairs.json",
      ranking: true,
      columns: { prompt: "instruction", chosen: "chosen", rejected: "rejected" },
    },
  };
  writeFileSync(join(folder, "docker.json"), JSON.stringify(rows));
  writeFileSync(join(folder, "pairs.json"), JSON.stringify(pairs));
  writeFileSync(join(folder, "dataset_info.json"), JSON.stringify(info));
  return folder;
}
