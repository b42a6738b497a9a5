// VeRA: torch's random numbers, and what a file may hold.
import { describe, expect, it } from "vitest";
import { readAdapterConfig, type Json } from "../src/index.ts";
import { MersenneTwister } from "../src/vera/mersenne-twister.ts";

const vera = { peft_type: "VERA", r: 64, target_modules: "all-linear" };

describe("random numbers", () => {
  it("are those of the C++ standard, which states the ten thousandth for the seed 5489", () => {
    const twister = new MersenneTwister(5489);
    const numbers = Array.from({ length: 10_000 }, () => twister.next());
    expect(numbers.at(-1)).toBe(4_123_659_995);
  });

  it("see only the low 32 bits of a key, as torch", () => {
    expect(new MersenneTwister(2 ** 32 + 5).next()).toBe(new MersenneTwister(5).next());
  });
});

it("fills in what peft 0.21 has for missing keys", () => {
  const defaults = { dropout: 0, dInitial: 0.1, prngKey: 0, saveProjection: true };
  expect(readAdapterConfig(vera)).toMatchObject(defaults);
});

it.each<[Json, string]>([
  [{ ...vera, r: undefined }, "r is undefined; it must be a whole number from 1 to 65536"],
  [{ ...vera, bias: "vera_only" }, 'bias is "vera_only"; this version knows plain VeRA only'],
  [{ ...vera, fan_in_fan_out: true }, "fan_in_fan_out is true; this version knows plain VeRA only"],
  [{ ...vera, layers_to_transform: [1] }, "layers_to_transform is [1]; this version knows plain VeRA only"],
  [{ ...vera, projection_prng_key: -1 }, "projection_prng_key is -1; it must be a whole number from 0"],
  [{ ...vera, save_projection: 1 }, "save_projection is 1; it must be true or false"],
  [{ ...vera, d_initial: 0 }, "d_initial is 0; it must be above 0"],
])("refuses %j", (json, message) => {
  expect(() => readAdapterConfig(json)).toThrow(message);
});
