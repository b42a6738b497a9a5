// Parts of int8 weights that do not fit, one wrong thing at a time, on the checkpoint that transformers wrote.

import { openModel, openSafetensors, type TensorInfo, type WeightSource } from "@welltempered/checkpoint";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { joinLlmInt8 } from "../src/llm-int8-source.ts";

const folder = new URL("../../../fixtures/llm-int8/int8/", import.meta.url).pathname;
const stored = openSafetensors(join(folder, "model.safetensors"));
const scratch = mkdtempSync(join(tmpdir(), "welltempered-int8-source-"));
afterAll(() => {
  stored.close();
  rmSync(scratch, { recursive: true, force: true });
});

const layer = "model.layers.0.mlp.up_proj";
const weight = `${layer}.weight`;

const without = (name: string): WeightSource => ({
  ...stored,
  names: () => stored.names().filter((other) => other !== name),
  has: (other) => other !== name && stored.has(other),
});
const described = (name: string, change: Partial<TensorInfo>): WeightSource => ({
  ...stored,
  info: (other) => ({ ...stored.info(other), ...(other === name ? change : {}) }),
});
const replaced = (name: string, bytes: Uint8Array): WeightSource => ({
  ...stored,
  read: (other) => (other === name ? bytes : stored.read(other)),
});

describe("an int8 checkpoint of bitsandbytes", () => {
  it("shows each weight as one tensor in its codec, and nothing of its parts", () => {
    const joined = joinLlmInt8(stored, 6);
    expect(joined.info(weight)).toMatchObject({ dtype: "llm_int8/6", shape: [128, 64] });
    expect(joined.names().filter((name) => !name.endsWith(".weight"))).toEqual([]);
    expect(joined.read(weight).length).toBe(128 * 64 + 4 * 128);
    expect(joinLlmInt8(without(`${layer}.weight_format`), 6).names()).toEqual(joined.names());
  });

  const faults: [what: string, source: WeightSource, message: RegExp][] = [
    ["no codes", without(weight), /up_proj\.weight is missing beside its scales/],
    ["codes that are floats", described(weight, { dtype: "f16" }), /up_proj\.weight is F16 \[128, 64\], not I8 rows/],
    ["scales of another length", described(`${layer}.SCB`, { shape: [64] }), /needs 128 F32 in SCB, got F32 \[64\]/],
    ["scales of another dtype", described(`${layer}.SCB`, { dtype: "f16" }), /needs 128 F32 in SCB, got F16/],
    ["columns of a GPU's tiles", replaced(`${layer}.weight_format`, Uint8Array.of(2)), /weight_format other than rows/],
  ];
  it.each(faults)("with %s is refused in one line", (_, source, message) => {
    expect(() => joinLlmInt8(source, 6)).toThrow(message);
  });

  it.each([
    [{ llm_int8_threshold: "6" }, /llm_int8_threshold is "6"; give a number from 0 to 65504/],
    [{ llm_int8_threshold: -1 }, /llm_int8_threshold is -1/],
    [{ load_in_8bit: false }, /quant_method is bitsandbytes in neither; supported is bitsandbytes in 4 or 8 bits/],
  ])("whose configuration says %o is refused by name", (change, message) => {
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as { quantization_config: object };
    const settings = { ...config.quantization_config, ...change };
    writeFileSync(join(scratch, "config.json"), JSON.stringify({ ...config, quantization_config: settings }));
    copyFileSync(join(folder, "model.safetensors"), join(scratch, "model.safetensors"));
    expect(() => openModel(scratch)).toThrow(message);
  });
});
