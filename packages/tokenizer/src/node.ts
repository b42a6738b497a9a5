// Reading a model folder needs a file system; everything else in this package runs in a browser too.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { TokenizerError } from "./errors.ts";
import { createTokenizer } from "./hf-tokenizer.ts";
import { type Tokenizer } from "./types.ts";

/** Text files of a tokenizer that are read, and written back into output folders. */
const FILES: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "vocab.json",
  "merges.txt",
];

/** The tokenizer of a Hugging Face model folder; throws a one-line error that names the file at fault. */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const files: Record<string, string> = {};
  for (const name of FILES) {
    const text = await readText(join(folder, name));
    if (text !== undefined) files[name] = text;
  }
  return createTokenizer(files, folder);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT") return undefined;
    throw new TokenizerError("file", path, `cannot be read (${code})`, "check that it is a readable file");
  }
}
