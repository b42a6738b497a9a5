import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { intents } from "../../examples/data/docker-intents.mjs";
import { makeRows, names, toJson } from "../../examples/data/make-docker.mjs";
import { makeNotes, makePhrasings, makeRequests } from "./make-corpus.mjs";

type Row = { instruction: string; input: string; output: string };
type Intent = { command: string; train: string[]; test: string[] };
type Half = "train" | "test";

const checkedIn = (half: Half): string =>
  readFileSync(new URL(`../../examples/data/docker_${half}.json`, import.meta.url), "utf8");
const rows: Record<Half, Row[]> = {
  train: JSON.parse(checkedIn("train")),
  test: JSON.parse(checkedIn("test")),
};
const authored: Intent[] = intents;
const heldOutNames = Object.values(names as Record<string, Record<Half, string[]>>).flatMap((halves) => halves.test);

/** Undoes the filling: the question with every name of its half replaced by a mark. */
const wordingOf = (row: Row, half: Half): string => {
  const values = Object.values(names as Record<string, Record<Half, string[]>>).flatMap((halves) => halves[half]);
  const longestFirst = values.toSorted((a, b) => b.length - a.length);
  return ` ${row.instruction} `.replace(
    new RegExp(
      `(?<=\\s)(${longestFirst.map((v) => v.replace(/[.*+?^$()|[\]\\]/g, "\\$&")).join("|")})(?=[\\s?,])`,
      "g",
    ),
    "_",
  );
};

describe("the Docker question set", () => {
  it("is what its script writes", () => {
    expect(toJson(makeRows(intents, "train"))).toBe(checkedIn("train"));
    expect(toJson(makeRows(intents, "test"))).toBe(checkedIn("test"));
  });

  it("has at least 35 intents, 400 questions to learn from and 100 held out", () => {
    expect(new Set(authored.map((intent) => intent.command)).size).toBeGreaterThanOrEqual(35);
    expect(new Set(rows.train.map((row) => row.instruction)).size).toBeGreaterThanOrEqual(400);
    expect(new Set(rows.test.map((row) => row.instruction)).size).toBeGreaterThanOrEqual(100);
  });

  it("asks every intent in at least eight phrasings in training and in other words when held out", () => {
    for (const intent of authored) {
      expect(new Set(intent.train).size, intent.command).toBeGreaterThanOrEqual(8);
      expect(intent.test.length, intent.command).toBeGreaterThanOrEqual(2);
    }
    const learned = new Set(rows.train.map((row) => wordingOf(row, "train")));
    expect(rows.test.filter((row) => learned.has(wordingOf(row, "test")))).toEqual([]);
  });

  it("holds out names that no training row contains, not even inside a word", () => {
    const learned = rows.train.map((row) => `${row.instruction}\n${row.output}`).join("\n");
    expect(heldOutNames.filter((name) => learned.includes(name))).toEqual([]);
  });

  it("never asks one question with two answers", () => {
    const answers = new Map<string, string>();
    for (const { instruction, output } of [...rows.train, ...rows.test]) {
      expect(answers.get(instruction) ?? output).toBe(output);
      answers.set(instruction, output);
    }
  });

  it("has one-line answers in which every name is copied from the question", () => {
    for (const { instruction, output } of rows.test) {
      expect(output).toMatch(/^docker [^\n]+$/);
      const copied = heldOutNames.filter((name) => ` ${output} `.includes(` ${name} `));
      for (const name of copied) expect(instruction).toContain(name);
    }
  });
});

describe("the corpus of the bundled base model", () => {
  const requests: Row[] = makeRequests(8000);
  const notes: { text: string }[] = makeNotes(2000);
  const copying: Row[] = makeRequests(8000, 5, { coined: 0.6 });
  const phrasings: string[] = makePhrasings(4000);

  it("never mentions Docker, its kin or its own words", () => {
    const everything = [
      ...[...requests, ...copying].map((row) => `${row.instruction}\n${row.output}`),
      ...notes.map((note) => note.text),
      ...phrasings,
    ].join("\n");
    expect(everything.match(/docker|container|compose\b|podman|kubectl|\brmi\b|image prune|system prune/i)).toBeNull();
  });

  it("copies every name of an answer from its question", () => {
    const invented = /[a-z]+-\d+\b/g;
    for (const { instruction, output } of requests) {
      for (const name of output.match(invented) ?? []) expect(instruction).toContain(name);
    }
  });

  it("is the same on every run", () => {
    expect(makeRequests(50)).toEqual(requests.slice(0, 50));
    expect(makeRequests(50, 9)).not.toEqual(requests.slice(0, 50));
  });
});
