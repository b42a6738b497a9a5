import { readFileSync } from "node:fs";

/** A file of fixtures/golden. */
export const golden = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../../fixtures/golden/${name}`, import.meta.url), "utf8")) as T;
