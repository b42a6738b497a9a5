import { describe, expect, test } from "vitest";

import { greedyKnapsack, inferSeqlen, Pcg64 } from "../src/index.ts";

describe("inferSeqlen", () => {
  // Values of LlamaFactory's own test of infer_seqlen.
  test.each([
    [3000, 2000, 1000, 600, 400],
    [2000, 3000, 1000, 400, 600],
    [1000, 100, 1000, 900, 100],
    [100, 1000, 1000, 100, 900],
    [100, 500, 1000, 100, 500],
    [500, 100, 1000, 500, 100],
    [10, 10, 1000, 10, 10],
  ])("cuts %i + %i to %i as %i + %i", (source, target, cutoff, keptSource, keptTarget) => {
    expect(inferSeqlen(source, target, cutoff)).toEqual({ source: keptSource, target: keptTarget });
  });

  test("never exceeds the cutoff, never lengthens a side, and cuts nothing that fits", () => {
    const random = new Pcg64([11]);
    for (let i = 0; i < 20_000; i++) {
      const [source, target, cutoff] = [random.integer(200), random.integer(200), 1 + random.integer(250)];
      const kept = inferSeqlen(source, target, cutoff);
      expect(kept.source + kept.target).toBeLessThanOrEqual(cutoff);
      expect(kept.source).toBeLessThanOrEqual(source);
      expect(kept.target).toBeLessThanOrEqual(target);
      expect(Math.min(kept.source, kept.target)).toBeGreaterThanOrEqual(0);
      if (source + target < cutoff) expect(kept).toEqual({ source, target });
    }
  });
});

describe("greedyKnapsack", () => {
  // Values of LlamaFactory's algorithm.
  test.each([
    [[1, 2, 3, 4, 5, 6, 7, 8, 9], 10, [[9, 1], [8, 2], [7, 3], [6, 4], [5]]],
    [
      [5, 5, 5, 5],
      10,
      [
        [5, 5],
        [5, 5],
      ],
    ],
    [[3, 3, 3], 8, [[3, 3], [3]]],
    [[2047, 1, 1024, 1024, 512], 2047, [[2047], [1024, 512, 1], [1024]]],
  ])("packs %j into %i", (numbers, capacity, expected) => {
    expect(greedyKnapsack(numbers, capacity)).toEqual(expected);
  });

  test("loses no number and never exceeds the capacity", () => {
    const random = new Pcg64([12]);
    for (let round = 0; round < 300; round++) {
      const capacity = 1 + random.integer(300);
      const numbers = Array.from({ length: random.integer(120) }, () => 1 + random.integer(capacity - 1));
      const packs = greedyKnapsack(numbers, capacity);
      expect(packs.flat().sort((a, b) => a - b)).toEqual([...numbers].sort((a, b) => a - b));
      for (const pack of packs) expect(pack.reduce((sum, number) => sum + number, 0)).toBeLessThanOrEqual(capacity);
    }
  });

  test("refuses a number that can never fit", () => {
    expect(() => greedyKnapsack([11], 10)).toThrow("11 does not fit");
  });
});
