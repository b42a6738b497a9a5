import { describe, expect, test } from "vitest";

import { epochOrder, Pcg64 } from "../src/index.ts";
import { readFixture } from "./support.ts";

interface Draw {
  entropy: number[];
  permutation: number[];
  uniform: number[];
}

const numpy = JSON.parse(readFixture("numpy.json")) as {
  draws: Draw[];
  large: { head: number[]; tail: number[]; checksum: number };
};

describe("the generator", () => {
  test.each(numpy.draws)("draws what numpy.random.default_rng($entropy) draws", ({ entropy, permutation, uniform }) => {
    const random = new Pcg64(entropy);
    expect([...random.permutation(permutation.length)]).toEqual(permutation);
    expect(uniform.map(() => random.uniform())).toEqual(uniform);
  });

  test("shuffles 100,000 numbers as numpy does", () => {
    const order = new Pcg64([1]).permutation(100_000);
    expect(Array.from(order.subarray(0, 5))).toEqual(numpy.large.head);
    expect(Array.from(order.subarray(-5))).toEqual(numpy.large.tail);
    const checksum = order.reduce((sum, value, index) => sum + ((value * index) % 1_000_003), 0);
    expect(checksum).toBe(numpy.large.checksum);
  });
});

describe("the order of an epoch", () => {
  test("is default_rng([seed, epoch + 1]).permutation", () => {
    const expected = numpy.draws.find(({ entropy }) => entropy.length === 2 && entropy[1] === 4)!;
    expect([...epochOrder(17, { seed: 42, epoch: 3, shuffle: true })]).toEqual(expected.permutation);
  });

  test("is the order of the rows without shuffling", () => {
    expect([...epochOrder(4, { seed: 42, epoch: 3, shuffle: false })]).toEqual([0, 1, 2, 3]);
  });
});
