import { mkdirSync, truncateSync } from "node:fs";
import { goodRows, type Box } from "./box.ts";
import { family, type BadInput } from "./case.ts";

const files: BadInput[] = [
  { id: "E1", what: "a data file that is missing", says: /rows\.json/, spoil: (box) => box.remove("data/rows.json") },
  { id: "E1", what: "an empty data file", says: /rows\.json/, spoil: (box) => box.write("data/rows.json", "") },
  { id: "E1", what: "no rows", says: /rows/, spoil: (box) => box.write("data/rows.json", "[]") },
  { id: "E1", what: "a folder without files in place of the data file", says: /rows\.json/, spoil: folderForFile },
  {
    id: "E1",
    what: "no dataset_info.json",
    says: /dataset_info\.json/,
    spoil: (box) => box.remove("data/dataset_info.json"),
  },
  {
    id: "E1",
    what: "a data set that is not registered",
    args: ["train", "run.yaml", "dataset=other"],
    says: /other/,
    spoil: () => {},
  },
  {
    id: "M4",
    what: "an evaluation set without rows",
    args: ["train", "run.yaml", "do_eval=true", "eval_dataset=held"],
    says: /held\.json/,
    spoil: holdOutNothing,
  },
  {
    id: "E9",
    what: "nothing left of any target",
    args: ["train", "run.yaml", "cutoff_len=1"],
    says: /cutoff_len|target|label/,
    spoil: () => {},
  },
  {
    id: "E9",
    what: "plain text in blocks of one token",
    args: ["train", "run.yaml", "stage=pt", "cutoff_len=1"],
    says: /^error: .*cutoff_len.*next token.*; raise cutoff_len/,
    spoil: () => {},
  },
  {
    id: "E9",
    what: "plain text in blocks that packing makes one token long",
    args: ["train", "run.yaml", "stage=pt", "packing=true", "cutoff_len=2"],
    says: /^error: .*cutoff_len.*next token.*; raise cutoff_len/,
    spoil: () => {},
  },
  { id: "E2", what: "bad JSON on line 4217 of 10,000", says: /rows\.jsonl:4217/, spoil: badLine },
  { id: "E5", what: "one line of 1 GB", says: /rows\.jsonl/, spoil: longLine },
  { id: "E5", what: "200,000 brackets", says: /rows\.jsonl/, spoil: deep },
];

function holdOutNothing(box: Box): void {
  const entries = { rows: { file_name: "rows.json" }, held: { file_name: "held.json" } };
  box.write("data/dataset_info.json", JSON.stringify(entries));
  box.rows("held.json", []);
}

function folderForFile(box: Box): void {
  box.remove("data/rows.json");
  mkdirSync(box.path("data/rows.json"));
}

function jsonl(box: Box, lines: string): void {
  box.dataset({ file_name: "rows.jsonl" });
  box.write("data/rows.jsonl", lines);
}

function badLine(box: Box): void {
  const lines = goodRows(10_000).map((row) => JSON.stringify(row));
  lines[4216] = '{"instruction": "x", "output": ';
  jsonl(box, `${lines.join("\n")}\n`);
}

/** A sparse file: it takes no space. */
function longLine(box: Box): void {
  jsonl(box, '{"instruction": "');
  truncateSync(box.path("data/rows.jsonl"), 2 ** 30);
}

function deep(box: Box): void {
  jsonl(box, `{"instruction": ${"[".repeat(200_000)}${"]".repeat(200_000)}, "output": "x"}\n`);
}

const alpaca = family<unknown>(
  "E3",
  /rows\.json/,
  [
    ["an output that is missing", { instruction: "a" }],
    ["an output that is null", { instruction: "a", output: null }],
    ["an output that is a number", { instruction: "a", output: 5 }],
    ["an instruction that is a list", { instruction: ["a"], output: "b" }],
    ["a history that is a text", { instruction: "a", output: "b", history: "c" }],
    ["a row that is a text", "a"],
    ["a row that is null", null],
  ],
  (box, row) => {
    box.dataset({ file_name: "rows.json", columns: { prompt: "instruction", response: "output", history: "history" } });
    box.rows("rows.json", [...goodRows(4), row]);
  },
);

const sharegpt = family<unknown>(
  "E3",
  /rows\.json/,
  [
    [
      "an unknown role",
      {
        conversations: [
          { from: "ghost", value: "a" },
          { from: "gpt", value: "b" },
        ],
      },
    ],
    [
      "two system turns",
      {
        conversations: [
          { from: "system", value: "a" },
          { from: "system", value: "a" },
          { from: "human", value: "a" },
          { from: "gpt", value: "b" },
        ],
      },
    ],
    ["an empty conversation", { conversations: [] }],
    ["a turn without text", { conversations: [{ from: "human" }, { from: "gpt", value: "b" }] }],
    ["no conversation", { other: 1 }],
  ],
  (box, row) => {
    box.dataset({ file_name: "rows.json", formatting: "sharegpt" });
    box.rows("rows.json", [row]);
  },
);

export const dataCases: readonly BadInput[] = [...files, ...alpaca, ...sharegpt];
