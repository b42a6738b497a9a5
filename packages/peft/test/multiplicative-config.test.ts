// What adapter_config.json files of (IA)³, OFT and BOFT may hold, and that peft's other variants are refused by name.
import { describe, expect, it } from "vitest";
import { readAdapterConfig, type Json } from "../src/index.ts";
import { blockSizeOf } from "../src/block-size.ts";

const common = { target_modules: ["k_proj", "down_proj"] };
const ia3 = { ...common, peft_type: "IA3", feedforward_modules: ["down_proj"] };
const oft = { ...common, peft_type: "OFT", oft_block_size: 8, peft_version: "0.18.0" };
const boft = { ...common, peft_type: "BOFT" };

it("fills in what peft 0.21 has for missing keys", () => {
  expect(readAdapterConfig(oft)).toMatchObject({ r: 0, blockSize: 8, neumannTerms: 5 });
  expect(readAdapterConfig({ ...oft, use_cayley_neumann: false })).toMatchObject({ neumannTerms: undefined });
  expect(readAdapterConfig(boft)).toMatchObject({ blockSize: 4, blockNum: 0, factors: 1 });
});

it("takes any module_dropout, which peft's OFT never applies", () => {
  expect(readAdapterConfig({ ...oft, module_dropout: 0.5 })).toEqual(readAdapterConfig(oft));
});

describe("refuses", () => {
  it.each<[Json, string]>([
    [{ ...ia3, feedforward_modules: null }, "feedforward_modules must be a list of module names, [] for none"],
    [{ ...ia3, feedforward_modules: ".*down" }, "feedforward_modules must be a list of module names, [] for none"],
    [{ ...ia3, feedforward_modules: ["up_proj"] }, "feedforward_modules names up_proj, which the targets do not name"],
    [{ ...ia3, target_modules: "all-linear" }, "feedforward_modules names down_proj, which the targets do not name"],
    [{ ...ia3, fan_in_fan_out: true }, "fan_in_fan_out is true; this version knows plain (IA)³ only"],
    [{ ...oft, coft: true }, "coft is true; this version knows plain OFT only"],
    [{ ...oft, block_share: true }, "block_share is true; this version knows plain OFT only"],
    [{ ...oft, bias: "oft_only" }, 'bias is "oft_only"; this version knows plain OFT only'],
    [{ ...oft, num_cayley_neumann_terms: 1 }, "num_cayley_neumann_terms is 1; it must be a whole number from 2"],
    [{ ...oft, peft_version: "0.17.1" }, "peft_version is below 0.18, whose use_cayley_neumann sums another series"],
    [{ ...oft, peft_version: undefined }, "peft_version is below 0.18, whose use_cayley_neumann sums another series"],
    [
      { ...oft, oft_block_size: undefined },
      "oft_block_size is missing: the adapter is of OFT's first version, of peft up to 0.15",
    ],
    [{ ...boft, boft_dropout: 0.1 }, "boft_dropout is 0.1; this version knows plain BOFT only"],
    [{ ...boft, boft_block_size: 2.5 }, "boft_block_size is 2.5; it must be a whole number from 0"],
    [{ ...boft, boft_n_butterfly_factor: 0 }, "boft_n_butterfly_factor is 0; it must be a whole number from 1"],
  ])("%j", (json, message) => {
    expect(() => readAdapterConfig(json)).toThrow(message);
  });
});

describe("the size of blocks", () => {
  const size = (count: number, each: number, inputs = 48): number =>
    blockSizeOf("mlp.down_proj", inputs, { count: ["r", count], size: ["oft_block_size", each] });

  it("is given, or follows from their number", () => {
    expect(size(0, 16)).toBe(16);
    expect(size(4, 0)).toBe(12);
  });

  it.each([
    [4, 12, "r is 4 and oft_block_size is 12; exactly one must be 0"],
    [0, 0, "r is 0 and oft_block_size is 0; exactly one must be 0"],
    [0, 32, "oft_block_size 32 does not divide the 48 inputs of mlp.down_proj; the nearest that does is 24"],
    [0, 64, "oft_block_size 64 does not divide the 48 inputs of mlp.down_proj; the nearest that does is 48"],
    [7, 0, "r 7 does not divide the 48 inputs of mlp.down_proj; the nearest that does is 6"],
  ])("from %d and %d is refused", (count, each, message) => {
    expect(() => size(count, each)).toThrow(message);
  });
});
