import { expect, it } from "vitest";
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
