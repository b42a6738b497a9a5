import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";

const text = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");
const manifest = JSON.parse(text("../package.json")) as {
  dependencies: Record<string, string>;
  bin: Record<string, string>;
};

it("re-exports every library it depends on, under its own name", () => {
  const libraries = Object.keys(manifest.dependencies).filter((name) => name !== "@welltempered/cli");
  const exported = [...text("../src/index.ts").matchAll(/export \* as (\w+) from "([^"]+)"/g)];
  expect(exported.map(([, , from]) => from).sort()).toEqual(libraries.sort());
  for (const [, name, from] of exported) expect(from).toBe(`@welltempered/${name}`);
});

it("has the commands temper and welltempered", () => {
  expect(Object.keys(manifest.bin)).toEqual(["temper", "welltempered"]);
  for (const path of Object.values(manifest.bin)) expect(existsSync(new URL(`../${path}`, import.meta.url))).toBe(true);
});
