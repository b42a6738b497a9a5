import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { drawFor, philox } from "../src/philox.ts";
import { chooseToken, distribution, penalizeRepetition, type SamplingOptions } from "../src/sampling.ts";

interface Case extends Omit<SamplingOptions, "doSample"> {
  seen: number[];
  logits: number[];
  probabilities: number[];
}

const cases = JSON.parse(
  readFileSync(new URL("../../../fixtures/golden/sampling.json", import.meta.url), "utf8"),
) as Case[];
const greedy: SamplingOptions = { doSample: false, temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1 };

describe("sampling", () => {
  test.each(cases)(
    "temperature $temperature, top-k $topK, top-p $topP, penalty $repetitionPenalty give the probabilities of transformers",
    (given) => {
      const logits = Float32Array.from(given.logits);
      penalizeRepetition(logits, given.seen, given.repetitionPenalty);
      const ours = distribution(logits, { ...given, doSample: true });
      expect(ours.length).toBe(given.probabilities.length);
      for (const [token, probability] of given.probabilities.entries())
        expect(Math.abs(ours[token]! - probability)).toBeLessThan(1e-6);
    },
  );

  test("the share of each drawn token is its probability", () => {
    const given = cases[4]!;
    const counts = Array.from({ length: 24 }, () => 0);
    const draws = 20_000;
    for (let draw = 0; draw < draws; draw++) {
      const token = chooseToken(
        Float32Array.from(given.logits),
        given.seen,
        { ...given, doSample: true },
        drawFor(7, 0, draw),
      );
      counts[token] = counts[token]! + 1;
    }
    for (const [token, probability] of given.probabilities.entries()) {
      const deviation = Math.sqrt((probability * (1 - probability)) / draws);
      expect(Math.abs(counts[token]! / draws - probability)).toBeLessThanOrEqual(5 * deviation);
    }
  });

  test("greedy takes the largest logit, the first of equal ones", () => {
    expect(chooseToken(Float32Array.of(1, 3, 3, 2), [], greedy, 0.9)).toBe(1);
  });

  test("greedy obeys the repetition penalty", () => {
    expect(chooseToken(Float32Array.of(1, 3, 2.9, 2), [1], { ...greedy, repetitionPenalty: 1.2 }, 0)).toBe(2);
  });
});

describe("philox", () => {
  // Known answers of Random123 1.14, kat_vectors, philox4x32 10 rounds.
  test.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)("counter %j and key %j give the published words", (counter, key, words) => {
    expect(philox(counter, key)).toEqual(words);
  });

  test("draws depend on seed, sequence and token and lie in [0, 1)", () => {
    const draws = [drawFor(1, 0, 0), drawFor(2, 0, 0), drawFor(1, 1, 0), drawFor(1, 0, 1), drawFor(2 ** 40, 0, 0)];
    expect(new Set(draws).size).toBe(5);
    expect(draws.every((draw) => draw >= 0 && draw < 1)).toBe(true);
    expect(drawFor(1, 0, 0)).toBe(draws[0]);
  });
});

test.each([1, 2, 50, 256, 257, 999])("top-k %i keeps what sorting keeps, ties with the last one too", (topK) => {
  // Most of these logits occur several times.
  const logits = Float32Array.from({ length: 1000 }, (_, index) => ((index * 7919) % 389) / 16);
  const threshold = logits.toSorted().at(-topK) ?? 0;
  const kept = distribution(logits, { ...greedy, topK, temperature: 1, doSample: true });
  expect([...kept].map((probability) => probability > 0)).toEqual([...logits].map((logit) => logit >= threshold));
});
