// Parts of 4-bit weights that do not fit, one wrong thing at a time, on the checkpoint that transformers wrote.

import { openModel, openSafetensors, type WeightSource } from "@welltempered/checkpoint";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { joinFourBit } from "../src/bitsandbytes-source.ts";

const folder = new URL("../../../fixtures/qlora/quantized/", import.meta.url).pathname;
const stored = openSafetensors(join(folder, "model.safetensors"));
const scratch = mkdtempSync(join(tmpdir(), "welltempered-bnb-"));
afterAll(() => {
  stored.close();
  rmSync(scratch, { recursive: true, force: true });
});

const weight = "model.layers.0.mlp.up_proj.weight";
const state = `${weight}.quant_state.bitsandbytes__nf4`;
const json = JSON.parse(Buffer.from(stored.read(state)).toString()) as Record<string, unknown>;

const without = (name: string): WeightSource => ({
  ...stored,
  names: () => stored.names().filter((other) => other !== name),
  has: (other) => other !== name && stored.has(other),
});
const replaced = (name: string, bytes: Uint8Array): WeightSource => ({
  ...stored,
  read: (other) => (other === name ? bytes : stored.read(other)),
});
const stated = (change: Record<string, unknown>): WeightSource =>
  replaced(state, Buffer.from(JSON.stringify({ ...json, ...change })));

describe("a checkpoint of bitsandbytes", () => {
  it("shows each weight as one tensor in its codec, and nothing of its parts", () => {
    const joined = joinFourBit(stored);
    expect(joined.info(weight)).toMatchObject({ dtype: "nf4/64/double", shape: [128, 64] });
    expect(joined.names().filter((name) => !name.endsWith(".weight"))).toEqual([]);
    expect(joined.read(weight).length).toBe(128 * 32 + 128 + 4 + 4);
  });

  const faults: [what: string, source: WeightSource, message: RegExp][] = [
    ["no scales", without(`${weight}.absmax`), /up_proj\.weight lacks .*absmax/],
    ["a table of its own", replaced(`${weight}.quant_map`, new Uint8Array(64)), /has a quant_map of its own/],
    ["a state that is no JSON", replaced(state, Buffer.from("{")), /quant_state/],
    ["a block of 63", stated({ blocksize: 63 }), /blocks of a size that is not known/],
    ["another code", stated({ quant_type: "fp4" }), /another code in its quant_state/],
    ["another shape", stated({ shape: [128, 65] }), /needs 4160 U8 in .*up_proj\.weight, got U8 \[4096, 1\]/],
    ["a shape of words", stated({ shape: ["a", 64] }), /without a shape of two axes/],
    ["no offset", stated({ nested_offset: null }), /no nested_offset/],
  ];
  it.each(faults)("with %s is refused in one line", (_, source, message) => {
    expect(() => joinFourBit(source)).toThrow(message);
  });

  it.each([
    [{ quant_method: "gptq", bits: 4 }, /quant_method is "gptq"; supported is bitsandbytes in 4 or 8 bits/],
    [{ quant_method: "bitsandbytes", load_in_2bit: true }, /bitsandbytes in neither/],
  ])("of another kind is refused by name: %o", (settings, message) => {
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as Record<string, unknown>;
    writeFileSync(join(scratch, "config.json"), JSON.stringify({ ...config, quantization_config: settings }));
    copyFileSync(join(folder, "model.safetensors"), join(scratch, "model.safetensors"));
    expect(() => openModel(scratch)).toThrow(message);
  });
});
