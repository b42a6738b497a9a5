// Pairs of answers to a prompt of three quarters of their length.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const words =
  "the time world house water place work year day hand part life number people word line side home book eye story".split(
    " ",
  );

/** A folder of one data set, `pairs`; a word is a token of SmolLM2. */
export function makePairs({ pairs, promptWords, answerWords }) {
  const folder = mkdtempSync(join(tmpdir(), "bench-pairs-"));
  const text = (seed, length) =>
    Array.from({ length }, (_, at) => words[(seed * 7 + at * (3 + (seed % 5)) + at * at) % words.length]).join(" ");
  const rows = Array.from({ length: pairs }, (_, row) => ({
    instruction: text(3 * row, promptWords),
    chosen: text(3 * row + 1, answerWords),
    rejected: text(3 * row + 2, answerWords),
  }));
  const columns = { prompt: "instruction", chosen: "chosen", rejected: "rejected" };
  const info = { pairs: { file_name: "pairs.json", ranking: true, columns } };
  writeFileSync(join(folder, "pairs.json"), JSON.stringify(rows));
  writeFileSync(join(folder, "dataset_info.json"), JSON.stringify(info));
  return folder;
}
