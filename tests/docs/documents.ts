// The documents of the repository and their code blocks.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
// @ts-expect-error a plain script of the repository, without types
import * as guide from "../../tools/guide.mjs";

export const root: string = fileURLToPath(new URL("../..", import.meta.url));

export interface Block {
  language: string;
  attributes: Readonly<Record<string, string>>;
  code: string;
  /** Of the opening fence, from 1. */
  line: number;
}

export interface Document {
  /** Relative to the root. */
  path: string;
  text: string;
  blocks: readonly Block[];
}

export const codeBlocks = guide.codeBlocks as (text: string) => Block[];
export const followGuide = guide.followGuide as (text: string, folder: string) => string[];

/** Files that git knows or would add. */
export const files: readonly string[] = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
  maxBuffer: 1 << 26,
})
  .split("\n")
  .filter((name) => name !== "");

const isDocument = (path: string): boolean =>
  /^([A-Z]+\.md|docs\/.+\.md|(packages|crates)\/[^/]+\/README\.md|(examples|bench|tools)\/README\.md)$/.test(path);

export const documents: readonly Document[] = files.filter(isDocument).map((path) => {
  const text = readFileSync(join(root, path), "utf8");
  return { path, text, blocks: codeBlocks(text) };
});

export const guides: readonly Document[] = documents.filter(({ path }) => path.startsWith("docs/guides/"));

/** Blocks of a language with the document they stand in; a guide's edits are not among them. */
export function blocksOf(...languages: readonly string[]): { name: string; document: Document; block: Block }[] {
  return documents.flatMap((document) =>
    document.blocks
      .filter(({ language, attributes }) => languages.includes(language) && attributes["file"] === undefined)
      .map((block) => ({ name: `${document.path}:${block.line}`, document, block })),
  );
}
