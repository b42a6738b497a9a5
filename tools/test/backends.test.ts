import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
// @ts-expect-error a plain script of the repository, without types
import { backendsTable } from "../backends.mjs";

it("a cell is marked where a case passed, and says why where there is no backend", () => {
  const cells = [
    { op: "rope", backend: "cpu" },
    { op: "rope", backend: "reference" },
    { op: "add", backend: "reference" },
  ];
  expect(backendsTable(cells).split("\n").slice(2)).toEqual([
    "| add | ✓ |  |  |  | not run |",
    "| rope | ✓ | ✓ |  |  | not run |",
  ]);
  expect(() => backendsTable([{ op: "rope", backend: "abacus" }])).toThrow('"abacus"');
});

it("docs/backends.md holds every method of the contract that makes or changes numbers, and something in every cell", () => {
  const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
  const contract = read("packages/kernels/src/backend.ts").split("export interface KernelBackend {")[1] ?? "";
  const methods = [...contract.matchAll(/^ {2}(\w+)\(/gm)].map(([, name]) => name);
  // Held against each other in packages/kernels/test/memory.test.ts, on every backend too.
  const memory = [
    "alloc",
    "uploadFrom",
    "write",
    "read",
    "free",
    "dtype",
    "shape",
    "reshape",
    "copy",
    "liveTensors",
    "liveBytes",
    "availableBytes",
  ];
  const lines = read("docs/backends.md").split("\n");
  const rows = lines.filter((line) => line.startsWith("| ")).map((line) => line.split("|").slice(1, -1));
  const cells = rows.slice(2).map((row) => row.map((cell) => cell.trim()));
  const listed = cells.map(([op]) => op);
  expect(listed).toEqual(expect.arrayContaining(methods.filter((name) => !memory.includes(name ?? ""))));
  expect(cells.filter((row) => row.includes(""))).toEqual([]);
});
