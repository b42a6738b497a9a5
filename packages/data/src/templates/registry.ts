import { CHATML } from "./tables/chatml.ts";
import { GEMMA } from "./tables/gemma.ts";
import { LLAMA } from "./tables/llama.ts";
import { OLMO } from "./tables/olmo.ts";
import { PHI } from "./tables/phi.ts";
import { PLAIN } from "./tables/plain.ts";
import type { TemplateSpec } from "./types.ts";

const SPECS: ReadonlyMap<string, TemplateSpec> = new Map(
  [...PLAIN, ...CHATML, ...GEMMA, ...LLAMA, ...OLMO, ...PHI].map((spec) => [spec.name, spec]),
);

/** Names that `template` may take, in alphabetical order. */
export const templateNames: readonly string[] = [...SPECS.keys()].sort();

/** The template of this name. */
export function findTemplate(name: string): TemplateSpec | undefined {
  return SPECS.get(name);
}
