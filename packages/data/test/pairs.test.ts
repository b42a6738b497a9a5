import { describe, expect, test } from "vitest";

import { collatePairs, DataError, type Example, loadRows, tokenizeRows } from "../src/index.ts";
import { chatmlTemplate, efficientTemplate, fixtureTokenizer, folderWith, LOAD, TOKENIZE } from "./support.ts";

const columns = { prompt: "q", chosen: "good", rejected: "bad" };
const alpaca = { q: "list the images", good: "docker images", bad: "docker ps" };
const turns = [
  { from: "human", value: "list the images" },
  { from: "gpt", value: "docker images" },
  { from: "human", value: "and now" },
];
const sharegpt = {
  conversations: turns,
  good: { from: "gpt", value: "docker ps" },
  bad: { from: "gpt", value: "docker rm" },
};
const openaiTags = { role_tag: "role", content_tag: "content", user_tag: "user", assistant_tag: "assistant" };
const openai = {
  messages: [{ role: "user", content: "list the images" }],
  good: { role: "assistant", content: "docker images" },
  bad: { role: "assistant", content: "docker ps" },
};
const messages = { messages: "messages", chosen: "good", rejected: "bad" };

/** Rows of a file with one entry, for stage dpo. */
function load(rows: readonly unknown[], entry: object, name = "x.json"): ReturnType<typeof loadRows>["train"] {
  const folder = folderWith({
    [name]: JSON.stringify(rows),
    "dataset_info.json": JSON.stringify({ d: { file_name: name, ranking: true, ...entry } }),
  });
  return loadRows({ ...LOAD, stage: "dpo", datasetDir: folder, dataset: ["d"] }).train;
}

function failure(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    return (error as DataError).message;
  }
  throw new Error("it did not fail");
}

describe("a ranking", () => {
  test("in alpaca has a prompt and two answers", () => {
    const [row] = load([alpaca], { columns });
    expect(row).toMatchObject({
      prompt: [{ role: "user", content: "list the images" }],
      response: [
        { role: "assistant", content: "docker images" },
        { role: "assistant", content: "docker ps" },
      ],
    });
  });

  test("in sharegpt has turns that end with a question, and two messages", () => {
    const entry = { formatting: "sharegpt", columns: { messages: "conversations", chosen: "good", rejected: "bad" } };
    const [row] = load([sharegpt], entry);
    expect(row?.prompt.map(({ content }) => content)).toEqual(["list the images", "docker images", "and now"]);
    expect(row?.response.map(({ content }) => content)).toEqual(["docker ps", "docker rm"]);
  });

  test("in openai is read by its tags", () => {
    const [row] = load([openai], { formatting: "openai", columns: messages, tags: openaiTags });
    expect(row?.response).toEqual([
      { role: "assistant", content: "docker images" },
      { role: "assistant", content: "docker ps" },
    ]);
  });

  test("in a file named directly is found by its fields", () => {
    const folder = folderWith({ "p.json": JSON.stringify([{ instruction: "a", chosen: "b", rejected: "c" }]) });
    const { train } = loadRows({ ...LOAD, stage: "dpo", datasetDir: folder, dataset: ["p.json"] });
    expect(train[0]?.response.map(({ content }) => content)).toEqual(["b", "c"]);
  });
});

describe("a bad ranking is refused", () => {
  test.each([
    [{ q: "a", good: "b" }, { columns }, /x\.json:1: row 2: "bad" is missing/],
    [{ q: "a", good: "b", bad: 3 }, { columns }, /x\.json:1: row 2: "bad" is a number/],
    [{ q: "a", good: null, bad: "c" }, { columns }, /x\.json:1: row 2: "good" is null/],
  ])("by row and key: %j", (row, entry, wanted) => {
    expect(failure(() => load([alpaca, row], entry))).toMatch(wanted);
  });

  test.each([
    [{ ...sharegpt, bad: "docker rm" }, '"bad" is a string'],
    [{ ...sharegpt, bad: { from: "human", value: "x" } }, '"bad" has the role user'],
    [{ ...sharegpt, conversations: turns.slice(0, 2) }, '"conversations" ends with an answer'],
    [{ ...sharegpt, conversations: [] }, '"conversations" holds no turns'],
    [{ conversations: turns, good: sharegpt.good }, '"bad" is missing'],
  ])("where its messages do not fit: %j", (row, wanted) => {
    const entry = { formatting: "sharegpt", columns: { messages: "conversations", chosen: "good", rejected: "bad" } };
    expect(failure(() => load([row], entry))).toContain(wanted);
  });

  test("where the registry does not say so, or the stage wants none", () => {
    expect(failure(() => load([alpaca], { ranking: false, columns: { prompt: "q" } }))).toContain("is not true");
    expect(failure(() => load([alpaca], { columns: { prompt: "q", chosen: "good" } }))).toContain(
      "leaves rejected unset",
    );
    const folder = folderWith({ "p.json": JSON.stringify([{ instruction: "a", output: "b" }]) });
    const options = { ...LOAD, stage: "dpo", datasetDir: folder, dataset: ["p.json"] } as const;
    expect(failure(() => loadRows(options))).toContain('"chosen" is missing');
  });

  test("or left out and counted, on request", () => {
    const folder = folderWith({
      "x.json": JSON.stringify([alpaca, { q: "a" }]),
      "dataset_info.json": JSON.stringify({ d: { file_name: "x.json", ranking: true, columns } }),
    });
    const { badRows } = loadRows({ ...LOAD, stage: "dpo", datasetDir: folder, dataset: ["d"], skipBadRows: true });
    expect(badRows).toMatchObject({ count: 1, first: expect.stringContaining("row 2") });
  });
});

describe("a pair", () => {
  const tokenizer = fixtureTokenizer();
  const encoder = { tokenizer, template: chatmlTemplate(true) };
  const encode = (cutoffLen: number, rows = [alpaca]): { example: Example; dropped: number } => {
    const { dataset, report } = tokenizeRows(load(rows, { columns }), encoder, {
      ...TOKENIZE,
      stage: "dpo",
      cutoffLen,
    });
    return { example: dataset.get(0), dropped: report.droppedRows };
  };
  const prompt = encoder.template.encodeOneturn(tokenizer, [
    { role: "user", content: alpaca.q },
    { role: "assistant", content: alpaca.good },
  ]);
  const longChosen = { ...alpaca, good: "docker images ".repeat(20) };

  test("is two sequences with one prompt, which is masked", () => {
    const { example } = encode(100);
    const [source, target] = prompt;
    expect([...example.inputIds.subarray(0, example.segmentLengths[0])]).toEqual([...source, ...target]);
    expect([...example.labels.subarray(0, source.length)].every((label) => label === -100)).toBe(true);
    expect([...example.labels.subarray(source.length, example.segmentLengths[0])]).toEqual(target);
    expect(example.positions[example.segmentLengths[0]!]).toBe(0);
  });

  test("shares one budget, which its longer answer decides", () => {
    // source s, target t, c tokens: 2t ≥ c and 2s ≥ c, so t' = ⌊c·t/(s+t)⌋ for both answers and s' = c − t'.
    const s = prompt[0].length;
    const t = encoder.template.encodeOneturn(tokenizer, [
      { role: "user", content: alpaca.q },
      { role: "assistant", content: longChosen.good },
    ])[1].length;
    const cutoff = 2 * s - 2;
    const target = Math.trunc((cutoff * t) / (s + t));
    const { example } = encode(cutoff, [longChosen]);
    const [chosen = 0, rejected = 0] = example.segmentLengths;
    expect(chosen).toBe(cutoff);
    expect([...example.labels.subarray(0, chosen)].filter((label) => label !== -100).length).toBe(target);
    expect(rejected).toBe(cutoff - target + Math.min(target, encode(1000).example.segmentLengths[1]! - s));
  });

  test("that loses an answer to the cutoff is dropped", () => {
    expect(() => encode(1)).toThrow(/none of 1 rows is usable/);
  });

  test("ends with an EOS where the template has none of its own", () => {
    const row = load([alpaca], { columns })[0]!;
    const { dataset } = tokenizeRows([row], { tokenizer, template: efficientTemplate }, { ...TOKENIZE, stage: "dpo" });
    const { inputIds, segmentLengths } = dataset.get(0);
    const eos = tokenizer.specialTokens.eos?.id;
    expect([inputIds[segmentLengths[0]! - 1], inputIds.at(-1)]).toEqual([eos, eos]);
  });
});

describe("a batch of pairs", () => {
  const pair = (prompt: number[], chosen: number[], rejected: number[], row: number): Example => {
    const masked = prompt.map(() => -100);
    const lengths = [prompt.length + chosen.length, prompt.length + rejected.length];
    return {
      inputIds: Int32Array.from([...prompt, ...chosen, ...prompt, ...rejected]),
      labels: Int32Array.from([...masked, ...chosen, ...masked, ...rejected]),
      segmentLengths: Int32Array.from(lengths),
      positions: Int32Array.from(lengths.flatMap((length) => [...Array(length).keys()])),
      tokenCount: lengths[0]! + lengths[1]!,
      paddedLength: Math.max(...lengths),
      row,
    };
  };

  test("has the chosen sequences first, then the rejected, as the collators of TRL and LlamaFactory", () => {
    const batch = collatePairs([pair([1, 2, 3], [4, 5], [6], 4), pair([7, 8], [9], [10, 11], 9)], {
      padToMultipleOf: 8,
    });
    expect([...batch.rows.tokens]).toEqual([1, 2, 3, 4, 5, 7, 8, 9, 1, 2, 3, 6, 7, 8, 10, 11]);
    expect(batch.rows.segments.map(({ length }) => length)).toEqual([5, 3, 4, 4]);
    expect(batch.chosen).toEqual({
      rows: Int32Array.of(2, 3, 6),
      targets: Int32Array.of(4, 5, 9),
      lengths: [2, 1],
    });
    expect(batch.rejected).toEqual({
      rows: Int32Array.of(10, 13, 14),
      targets: Int32Array.of(6, 10, 11),
      lengths: [1, 2],
    });
    expect(batch).toMatchObject({ tokenCount: 16, paddedTokenCount: 32, rowIds: Int32Array.of(4, 9) });
  });
});
