import { appendFileSync } from "node:fs";

export const properties = [
  "trains",
  "gradients",
  "resumes bit-exactly",
  "loads in peft",
  "loads from peft",
  "merges",
] as const;
export type Property = (typeof properties)[number];

/** Says what a test that reached its end has shown, as a cell of docs/methods.md: `node tools/methods.mjs` sets TEMPER_CELLS. */
export function shown(method: string, base: string, properties: readonly Property[], mark = "✓"): void {
  const file = process.env["TEMPER_CELLS"];
  if (file === undefined) return;
  for (const property of properties) appendFileSync(file, `${JSON.stringify({ method, base, property, mark })}\n`);
}
