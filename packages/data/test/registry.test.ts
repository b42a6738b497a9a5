import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { findDatasets, loadRows } from "../src/index.ts";
import { folderWith, LOAD } from "./support.ts";

const load = (folder: string, name: string) => loadRows({ ...LOAD, datasetDir: folder, dataset: [name] }).train;

describe("a dataset named by its path", () => {
  const user = { role: "user", content: "hi" };
  const assistant = { role: "assistant", content: "hello" };
  test.each([
    [{ instruction: "a", input: "b", output: "c", system: "s" }, "a\nb", "c", "s"],
    [{ prompt: "a", completion: "c" }, "a", "c", ""],
    [{ prompt: "a", response: "c" }, "a", "c", ""],
    [
      {
        conversations: [
          { from: "human", value: "a" },
          { from: "gpt", value: "c" },
        ],
      },
      "a",
      "c",
      "",
    ],
    [{ messages: [user, assistant] }, "hi", "hello", ""],
    [{ messages: [{ role: "system", content: "s" }, user, assistant] }, "hi", "hello", "s"],
  ])("is read by the layout of its first row: %j", (row, question, answer, system) => {
    const folder = folderWith({ "rows.jsonl": JSON.stringify(row) });
    expect(load(folder, join(folder, "rows.jsonl"))[0]).toMatchObject({
      prompt: [{ role: "user", content: question }],
      response: [{ role: "assistant", content: answer }],
      system,
    });
  });

  test("is found beside dataset_info.json too", () => {
    const folder = folderWith({ "rows.json": '[{"instruction": "a", "output": "b"}]' });
    expect(load(folder, "rows.json")).toHaveLength(1);
  });

  test("is refused when the layout cannot be told", () => {
    const folder = folderWith({ "rows.json": '[{"question": "a"}]' });
    expect(() => load(folder, "rows.json")).toThrow(
      "rows.json:1: has none of the keys messages, conversations, instruction, prompt, text",
    );
  });
});

describe("an entry", () => {
  test("with columns leaves every unlisted column unset", () => {
    const columns = { prompt: "q", response: "a" };
    const folder = folderWith({
      "rows.json": '[{"q": "1", "input": "ignored", "a": "2"}]',
      "dataset_info.json": JSON.stringify({ d: { file_name: "rows.json", columns } }),
    });
    expect(findDatasets(["d"], folder)[0]?.columns).toEqual(columns);
    expect(load(folder, "d")[0]?.prompt[0]?.content).toBe("1");
  });

  test("draws num_samples rows, each once while there are enough, then with repetition", () => {
    const rows = Array.from({ length: 20 }, (_, i) => ({ instruction: `${i}`, output: "b" }));
    const info = {
      few: { file_name: "rows.json", num_samples: 8 },
      many: { file_name: "rows.json", num_samples: 50 },
    };
    const folder = folderWith({
      "rows.json": JSON.stringify(rows),
      "dataset_info.json": JSON.stringify(info),
    });
    const contents = (name: string): string[] => load(folder, name).map((row) => row.prompt[0]!.content);
    expect(new Set(contents("few")).size).toBe(8);
    expect(contents("many")).toHaveLength(50);
    expect(new Set(contents("many")).size).toBe(20);
    expect(contents("few")).toEqual(contents("few"));
  });
});

test("tool calls are written as Python's json.dumps writes them", () => {
  const call = {
    type: "function",
    function: { name: "f", arguments: { city: "Øslo", days: 1.5, list: [true, null] } },
  };
  const messages = [
    { role: "user", content: "q" },
    { role: "assistant", content: null, tool_calls: [call] },
    { role: "tool", content: "1" },
    { role: "assistant", content: "a" },
  ];
  const folder = folderWith({
    "rows.json": JSON.stringify([{ messages, tools: [{ name: "f" }] }]),
  });
  const [row] = load(folder, "rows.json");
  expect(row?.prompt[1]).toEqual({
    role: "function",
    content: '[{"name": "f", "arguments": {"city": "Øslo", "days": 1.5, "list": [true, null]}}]',
  });
  expect(row?.prompt[2]).toEqual({ role: "observation", content: "1" });
  expect(row?.tools).toBe('[{"name": "f"}]');
});
