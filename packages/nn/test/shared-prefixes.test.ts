import { expect, it } from "vitest";
import { packRows, sharePrefixes, type PackedRows } from "../src/index.ts";

/** The tokens that a row sees, its own the last. */
function seen({ tokens, segments }: PackedRows, row: number): number[] {
  let at = segments.findIndex(({ start, length }) => row >= start && row < start + length);
  const path: number[][] = [];
  for (let end = row + 1; at >= 0; end = Number.POSITIVE_INFINITY) {
    const { start, length, parent } = segments[at]!;
    path.unshift([...tokens.subarray(start, Math.min(end, start + length))]);
    at = parent;
  }
  return path.flat();
}

function random(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

it("every row sees the tokens that it saw, at its position, and none twice that sequences share", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const next = random(seed);
    const bases = Array.from({ length: 3 }, () => Array.from({ length: 60 }, () => Math.floor(next() * 3)));
    const sequences = Array.from({ length: 1 + Math.floor(next() * 9) }, () => {
      const head = bases[Math.floor(next() * 3)]!.slice(0, Math.floor(next() * 61));
      return [...head, ...Array.from({ length: Math.floor(next() * 12) }, () => Math.floor(next() * 3))];
    });
    const rows = packRows(sequences);
    const shared = sharePrefixes(rows);
    if (shared === undefined) continue;
    expect(shared.rows.tokens.length).toBeLessThan(rows.tokens.length);
    expect([...new Set(shared.places)]).toHaveLength(shared.rows.tokens.length);
    for (const [row, place] of shared.places.entries()) {
      expect(seen(shared.rows, place)).toEqual(seen(rows, row));
      expect(shared.rows.positions[place]).toBe(rows.positions[row]);
    }
  }
});

const prompt = Array.from({ length: 40 }, (_, index) => index);

it("makes a tree: what all have in common, what some have, what is each one's own", () => {
  const question = Array.from({ length: 20 }, (_, index) => 100 + index);
  const shared = sharePrefixes(
    packRows([
      [...prompt, ...question, 7],
      [...prompt, ...question, 8, 9],
      [...prompt, 5],
    ]),
  );
  expect(shared?.rows.segments.map(({ length, parent }) => [length, parent])).toEqual([
    [40, -1],
    [1, 0],
    [20, 0],
    [1, 2],
    [2, 2],
  ]);
});

it("leaves rows alone that share little, or whose sequences do not begin at position 0", () => {
  expect(
    sharePrefixes(
      packRows([
        [1, 2, 3],
        [1, 2, 4],
      ]),
    ),
  ).toBeUndefined();
  expect(sharePrefixes(packRows([prompt]))).toBeUndefined();
  const rows = packRows([prompt, prompt]);
  expect(sharePrefixes({ ...rows, positions: rows.positions.map((position) => position + 1) })).toBeUndefined();
  expect(sharePrefixes(rows)?.rows.tokens).toHaveLength(40);
});
