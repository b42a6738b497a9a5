import { expect, it } from "vitest";
// @ts-expect-error a plain script of the repository, without types
import { rustFunctions, typescriptFunctions } from "../lengths.mjs";

it("functions of TypeScript are counted with their lines, declarations are not", () => {
  const text =
    "abstract class A {\n  f(): void {\n    g();\n  }\n  abstract h(): void;\n}\nconst one = (x: number): number => x;\n";
  expect(typescriptFunctions("a.ts", text)).toEqual([
    [2, 3],
    [7, 1],
  ]);
});

it("functions of Rust too, whatever their heads", () => {
  const text =
    "trait T {\n    fn a(&self);\n    fn b() {}\n}\npub(crate) unsafe fn c(\n    x: u8,\n) -> u8\nwhere\n    u8: Copy,\n{\n    if x > 0 {\n        1\n    } else {\n        2\n    }\n}\n";
  expect(rustFunctions(text)).toEqual([
    [3, 1],
    [5, 12],
  ]);
});
