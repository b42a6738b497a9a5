import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { methods } from "../../packages/trainer/test/method-table.ts";
// @ts-expect-error a plain script of the repository, without types
import { methodsTable } from "../methods.mjs";

it("a cell is marked where a test passed, a row is there where one looked", () => {
  const cells = [
    { method: "loha", base: "nf4", property: "trains" },
    { method: "loha", base: "a codec", property: "trains" },
    { method: "loha", base: "bf16", property: "trains" },
    { method: "loha", base: "f32", property: "merges" },
    { method: "dora", base: "f32", property: "trains" },
    { method: "dora", base: "f32", property: "trains" },
  ];
  expect(methodsTable(cells).split("\n").slice(2)).toEqual([
    "| dora | f32 | ✓ |  |  |  |  |  |",
    "| loha | f32 |  |  |  |  |  | ✓ |",
    "| loha | bf16 | ✓ |  |  |  |  |  |",
    "| loha | a codec | ✓ |  |  |  |  |  |",
    "| loha | nf4 | ✓ |  |  |  |  |  |",
  ]);
});

it("a property without a column is refused", () => {
  expect(() => methodsTable([{ method: "dora", base: "f32", property: "flies" }])).toThrow('"flies"');
});

it("docs/methods.md holds every method on every base, and something in every cell", () => {
  const text = readFileSync(new URL("../../docs/methods.md", import.meta.url), "utf8");
  const lines = text.split("\n").filter((line) => line.startsWith("| "));
  const [titles = [], , ...rows] = lines.map((line) => line.split("|").slice(1, -1));
  const cells = rows.map((row) => row.map((cell) => cell.trim()));
  const bases = [...new Set(cells.map(([, base]) => base))];
  expect(bases).toEqual(expect.arrayContaining(["f32", "bf16", "nf4", "GGUF"]));
  const wanted = methods.flatMap(([name]) => bases.map((base) => `${name} on ${base}`));
  expect(cells.map(([name, base]) => `${name} on ${base}`).sort()).toEqual(wanted.sort());
  expect(cells.filter((row) => row.length !== titles.length || row.includes(""))).toEqual([]);
});
