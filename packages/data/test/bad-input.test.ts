import { UserError } from "@welltempered/formats";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { loadRows, readRows, tokenizeRows } from "../src/index.ts";
import { chatmlTemplate, fixtureTokenizer, folderWith, LOAD, TOKENIZE } from "./support.ts";

const GOOD = { instruction: "a", input: "", output: "b" };
const jsonl = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

/** The error of loading one dataset whose entry and file are given. */
function failureOf(content: string | Uint8Array, entry: object = {}, name = "x.json"): UserError {
  const folder = folderWith({
    [name]: content,
    "dataset_info.json": JSON.stringify({ d: { file_name: name, ...entry } }),
  });
  return failure(() => loadRows({ ...LOAD, datasetDir: folder, dataset: ["d"] }));
}

function failure(run: () => unknown): UserError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    const user = error as UserError;
    expect(user.exitCode).toBe(2);
    expect(user.message).not.toMatch(/\p{Cc}/u);
    expect(user.message.length).toBeLessThanOrEqual(300);
    return user;
  }
  throw new Error("it did not fail");
}

describe("a file", () => {
  test("that is missing, empty, a folder of nothing or of another kind is refused", () => {
    const folder = folderWith({
      "dataset_info.json": JSON.stringify({ d: { file_name: "no.json" } }),
    });
    expect(failure(() => loadRows({ ...LOAD, datasetDir: folder, dataset: ["d"] })).message).toContain(
      "no.json: no such file",
    );
    expect(failureOf("").message).toContain("x.json: is empty");
    expect(failureOf("[]").message).toContain("holds no usable rows");
    expect(failureOf(" \n\n").message).toContain("holds no usable rows");
    expect(failureOf("a,b", {}, "x.csv").message).toContain(".csv files are not read");
    mkdirSync(join(folder, "no.json"));
    expect(failure(() => loadRows({ ...LOAD, datasetDir: folder, dataset: ["d"] })).message).toContain(
      "is an empty folder",
    );
  });

  test("with bad JSON at line 4217 of 10,000 is refused by that line", () => {
    const rows = jsonl(Array.from({ length: 10_000 }, () => GOOD)).split("\n");
    rows[4216] = '{"instruction": "a", "output": }';
    expect(failureOf(rows.join("\n"), {}, "x.jsonl").message).toContain("x.jsonl:4217:");
  });

  test("with bad rows is read without them on request, and they are counted", () => {
    const content = `${jsonl([GOOD])}{"instruction": \n${jsonl([{ instruction: "a" }, GOOD])}`;
    const folder = folderWith({ "x.jsonl": content });
    const loaded = loadRows({
      ...LOAD,
      datasetDir: folder,
      dataset: ["x.jsonl"],
      skipBadRows: true,
    });
    expect(loaded.badRows.count).toBe(2);
    expect(loaded.badRows.first).toContain("x.jsonl:2:");
    const encoder = { tokenizer: fixtureTokenizer(), template: chatmlTemplate(false) };
    const { dataset, report } = tokenizeRows(loaded.train, encoder, TOKENIZE);
    expect(dataset.length).toBe(2);
    expect(report.droppedRows).toBe(1);
  });

  test("with a broken array is refused by its line", () => {
    expect(failureOf('[\n{"instruction": "a", "output": "b"}\n{"instruction": "c"}]').message).toContain("x.json:3:1");
    expect(failureOf('[\n{"instruction": "a", "output": "b"},\n').message).toContain("the file ends inside the array");
    expect(failureOf('[{"instruction": "a", "output": "b"}]\nmore').message).toContain("x.json:2: there is text after");
    expect(failureOf("[1, 2]").message).toContain("the row is a number, not an object");
  });

  test("in UTF-16 or latin-1 is refused, with a byte order mark it is read", () => {
    const text = JSON.stringify([{ instruction: "é", output: "b" }]);
    expect(failureOf(Buffer.from(`\ufeff${text}`, "utf16le")).message).toContain("UTF-16");
    expect(failureOf(Buffer.from(text, "utf16le")).message).toContain("UTF-16");
    expect(failureOf(Buffer.from(text, "latin1")).message).toContain("x.json:1: is not UTF-8");
    const folder = folderWith({ "bom.json": `\ufeff${text}` });
    expect(loadRows({ ...LOAD, datasetDir: folder, dataset: ["bom.json"] }).train[0]?.prompt[0]?.content).toBe("é");
  });

  test("with half of a surrogate pair is refused by its row and key", () => {
    expect(failureOf('[{"instruction": "\\ud800", "output": "b"}]').message).toContain(
      'row 1: "instruction" holds half of a surrogate pair',
    );
  });

  test("nested 200,000 deep is refused", () => {
    const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
    expect(failureOf(`[{"instruction": ${deep}}]`).message).toContain("nested deeper");
    expect(failureOf(`{"instruction": ${'{"a":'.repeat(200_000)}`, {}, "x.jsonl").message).toContain("nested deeper");
  });

  test("with a row longer than any honest one is refused within bounded memory", () => {
    const folder = folderWith({ "x.jsonl": "" });
    const piece = Buffer.alloc(64 << 20, 0x61);
    for (const flag of ["w", "a", "a"]) writeFileSync(join(folder, "x.jsonl"), piece, { flag });
    const before = process.memoryUsage().rss;
    const error = failure(() => [...readRows(join(folder, "x.jsonl"))]);
    expect(error.message).toContain("longer than 64 MiB");
    expect(process.memoryUsage().rss - before).toBeLessThan(256 << 20);
  });
});

describe("a row", () => {
  test.each([
    [{ instruction: "a" }, '"output" is missing'],
    [{ instruction: "a", output: null }, '"output" is null'],
    [{ instruction: "a", output: 3 }, '"output" is a number'],
    [{ output: "a" }, '"instruction" is missing'],
    [{ instruction: "a", input: 7, output: "b" }, '"input" is a number'],
  ])("%j is refused by row and key", (row, expected) => {
    const { message } = failureOf(JSON.stringify([GOOD, row], null, 1));
    expect(message).toMatch(/x\.json:7: row 2: /);
    expect(message).toContain(expected);
  });

  const turn = (from: string, value: unknown): object => ({ from, value });
  test.each([
    [[], "holds no turns"],
    ["text", '"conversations" is a string'],
    [[turn("human", "a"), turn("robot", "b")], '"conversations[1].from" is the unknown role "robot"'],
    [[turn("human", "a"), turn("gpt", null)], '"conversations[1].value" is null'],
    [[turn("human", "a")], "ends with a question"],
    [[turn("gpt", "a"), turn("human", "b")], "has the role assistant at turn 1"],
    [[turn("system", "a"), turn("system", "b"), turn("human", "c"), turn("gpt", "d")], "has the role system at turn 1"],
    [[turn("human", "a"), "b"], '"conversations[1]" is a string'],
  ])("with the conversation %j is refused", (conversations, expected) => {
    expect(failureOf(JSON.stringify([{ conversations }]), { formatting: "sharegpt" }).message).toContain(expected);
  });

  test("cannot change the prototype of objects", () => {
    const text =
      '[{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}, "instruction": "a", "output": "b"}]';
    const folder = folderWith({ "x.json": text });
    expect(loadRows({ ...LOAD, datasetDir: folder, dataset: ["x.json"] }).train).toHaveLength(1);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect(failureOf("[{}]", { columns: { prompt: "__proto__", response: "toString" } }).message).toContain(
      '"__proto__" is missing',
    );
  });
});

describe("dataset_info.json", () => {
  test.each([
    [{ file_name: "../x.json" }, 'd".file_name holds ".."'],
    [{ file_name: "file:///etc/passwd" }, "is a URL"],
    [{ file_name: "http://host/x.json" }, "is a URL"],
    [{ file_name: "x.py" }, "is a script, which is never run"],
    [{ script_url: "x" }, "script_url is not followed"],
    [{ hf_hub_url: "a/b" }, "hf_hub_url is not followed"],
    [{ cloud_file_name: "s3://a" }, "cloud_file_name is not followed"],
    [{ file_nam: "x.json" }, "file_nam is not a known key"],
    [{ file_name: 3 }, "file_name is a number"],
    [{ ranking: true }, "ranking is true"],
    [{ split: "test" }, "split names no split"],
    [{ formatting: "alpacca" }, "formatting is not known"],
    [{ columns: { images: "images" } }, "columns.images needs a multimodal model"],
    [{ columns: { chosen: "chosen" } }, "columns.chosen needs ranking: true"],
    [{ columns: { promt: "a" } }, "columns.promt is not a known key"],
    [{ columns: { response: "a" } }, "columns leaves prompt unset"],
    [{ formatting: "sharegpt", columns: { system: "a" } }, "columns leaves messages unset"],
    [{ formatting: "sharegpt", tags: { user_tag: "user" } }, "tags.role_tag is unset"],
  ])("with %j is refused by file, line and key", (entry, expected) => {
    const info = JSON.stringify({ other: {}, d: { file_name: "x.json", ...entry } }, null, 1);
    const folder = folderWith({ "x.json": "[]", "dataset_info.json": info });
    const { message } = failure(() => loadRows({ ...LOAD, datasetDir: folder, dataset: ["d"] }));
    expect(message).toMatch(/dataset_info\.json:\d+: "d"\./);
    expect(message).toContain(expected);
  });

  test("names the line of the fault", () => {
    const folder = folderWith({
      "dataset_info.json": '{\n "other": {"split": "x"},\n "d": {\n  "file_name": "x.json",\n  "split": "test"}}',
    });
    expect(failure(() => loadRows({ ...LOAD, datasetDir: folder, dataset: ["d"] })).message).toContain(
      "dataset_info.json:5:",
    );
  });

  test("that is missing, broken or without the dataset is named", () => {
    const load = (folder: string): UserError =>
      failure(() => loadRows({ ...LOAD, datasetDir: folder, dataset: ["d"] }));
    expect(load(folderWith({})).message).toContain("dataset_info.json: no such file");
    expect(load(folderWith({ "dataset_info.json": '{\n"a": }' })).message).toContain("dataset_info.json:2:");
    expect(load(folderWith({ "dataset_info.json": '{"a": {}}' })).message).toContain('has no dataset "d"; it has "a"');
    expect(load("ONLINE").message).toContain("datasets are not downloaded");
  });
});

test("names from files are escaped and cut in messages", () => {
  const name = `\u001b[31m\n${"x".repeat(4000)}`;
  const error = failure(() =>
    loadRows({ ...LOAD, datasetDir: folderWith({ "dataset_info.json": "{}" }), dataset: [name] }),
  );
  expect(error.message).toContain("\\u001b");
  const place = failure(() => loadRows({ ...LOAD, datasetDir: "/no\n\u001b[0m", dataset: ["d"] }));
  expect(place.message).toContain("/no\\u000a\\u001b[0m/dataset_info.json");
});

describe("nothing to train on", () => {
  const tokenizer = fixtureTokenizer();
  const encoder = { tokenizer, template: chatmlTemplate(false) };
  const long = { instruction: "word ".repeat(200), output: "" };
  const rowsOf = (rows: readonly object[]) =>
    loadRows({ ...LOAD, datasetDir: folderWith({ "x.jsonl": jsonl(rows) }), dataset: ["x.jsonl"] }).train;
  const noEnd = {
    ...encoder,
    template: {
      ...encoder.template,
      encodeMultiturn: () => [[[1, 2, 3], []]] as [number[], number[]][],
    },
  };

  test("is refused when every label is masked", () => {
    expect(failure(() => tokenizeRows(rowsOf([long]), noEnd, TOKENIZE)).message).toContain(
      "no row keeps a token to train on",
    );
  });

  test("is counted when it is only some of the rows", () => {
    let row = 0;
    const every = chatmlTemplate(false);
    const template = {
      ...every,
      encodeMultiturn: (...args: Parameters<typeof every.encodeMultiturn>) =>
        row++ ? every.encodeMultiturn(...args) : ([[[1, 2], []]] as [number[], number[]][]),
    };
    const { report } = tokenizeRows(rowsOf([GOOD, GOOD, GOOD]), { tokenizer, template }, TOKENIZE);
    expect(report).toMatchObject({ rows: 3, examples: 3, unlabelledRows: 1, droppedRows: 0 });
  });

  test.each([
    [{ cutoffLen: 1 }, "a block of 1 token has no next token to learn"],
    [{ cutoffLen: 2, packing: true }, "a block of 1 token has no next token to learn"],
  ])("is refused when no block of pre-training has a second token (%j)", (options, says) => {
    const run = (): unknown => tokenizeRows(rowsOf([GOOD]), encoder, { ...TOKENIZE, stage: "pt", ...options });
    expect(failure(run).message).toContain(says);
  });

  test("is refused when the texts of pre-training do not fill a block", () => {
    expect(failure(() => tokenizeRows(rowsOf([GOOD]), encoder, { ...TOKENIZE, stage: "pt" })).message).toContain(
      "do not fill one block",
    );
  });

  test("is refused when val_size takes every row", () => {
    const folder = folderWith({ "x.jsonl": jsonl([GOOD, GOOD]) });
    const load = (valSize: number): UserError =>
      failure(() => loadRows({ ...LOAD, datasetDir: folder, dataset: ["x.jsonl"], valSize }));
    expect(load(2).message).toContain("val_size: 2 leaves nothing");
    expect(load(1).message).toContain("val_size: 1 leaves nothing");
    expect(load(0.9).message).toContain("val_size: 0.9 leaves nothing");
  });
});
