// The whole way from a real GGUF file into the native backend, against what transformers loads from the same file.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { openBackend } from "@welltempered/kernels";
import { describe, expect, it } from "vitest";
import { fetchSmolLM2 } from "../../../tools/fetch-smollm2.mjs";
import { checkWeights, loadTensor, openModel } from "../src/index.ts";

interface Digest {
  config: Record<string, unknown>;
  tokenizer: {
    tokens: number;
    tokens_sha256: string;
    merges: number;
    merges_sha256: string;
    chat_template_sha256: string;
    control: number[];
    pre: string;
  };
  tensors: Record<string, { shape: number[]; sha256: string; first: number[] }>;
}
const digest = JSON.parse(
  readFileSync(new URL("../../../fixtures/smollm2/digest.json", import.meta.url), "utf8"),
) as Digest;
const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");

async function model(): Promise<string | undefined> {
  try {
    return await fetchSmolLM2();
  } catch (error) {
    if (process.env["CI"]) throw error;
    return undefined;
  }
}
const path = await model();

describe.skipIf(path === undefined)("SmolLM2 from GGUF (skipped where it cannot be downloaded)", () => {
  const open = (): ReturnType<typeof openModel> => openModel(path ?? "");

  it("has transformers' config", () => {
    const { config, weights } = open();
    const { architectures: _, rope_parameters: rope, ...wanted } = digest.config;
    expect(config).toMatchObject({
      ...wanted,
      rope_theta: (rope as { rope_theta: number }).rope_theta,
      architectures: ["LlamaForCausalLM"],
    });
    expect(config).not.toHaveProperty("rope_scaling");
    weights.close();
  });

  it("keeps its blocks, which expand to the tensors of transformers, every bit of them", async () => {
    const { weights } = open();
    const backend = openBackend({ device: "cpu" });
    checkWeights(weights, new Map(Object.entries(digest.tensors)), { optional: new Set(["lm_head.weight"]) });
    for (const [name, { shape, sha256: wanted }] of Object.entries(digest.tensors)) {
      const slot = loadTensor(backend, weights, name);
      expect([name, backend.dtype(slot), backend.shape(slot)]).toEqual([name, weights.info(name).dtype, shape]);
      const expanded = backend.cast(slot, "f32");
      expect([name, sha256(await backend.read(expanded))]).toEqual([name, wanted]);
      for (const each of [slot, expanded]) backend.free(each);
    }
    expect(backend.liveTensors()).toBe(0);
    weights.close();
  });

  it("has the tokenizer of Python's gguf package", () => {
    const { tokenizer, weights } = open();
    if (tokenizer.kind !== "gguf") throw new Error(tokenizer.kind);
    const { tokens, merges = [], tokenTypes = [], chatTemplate = "", pre } = tokenizer.tokenizer;
    const got = {
      tokens: tokens.length,
      tokens_sha256: sha256(tokens.join("\n")),
      merges: merges.length,
      merges_sha256: sha256(merges.join("\n")),
      chat_template_sha256: sha256(chatTemplate),
      control: tokenTypes.flatMap((type, id) => (type === 3 ? [id] : [])),
      pre,
    };
    expect(got).toEqual(digest.tokenizer);
    weights.close();
  });
});
