import { DataError } from "../errors.ts";
import { datasetOf, type Example, singleExample, type TokenizedDataset } from "../example.ts";
import type { AlignedRow, DataStage } from "../messages.ts";
import { type NumberedRow, packRows } from "../pack/pack.ts";
import { encodePair, hasTokens, pairExample } from "./pairwise.ts";
import { encodePretrain, pretrainLabels } from "./pretrain.ts";
import { encodePrompt, type PromptExample } from "./prompt.ts";
import { type Encoder, encodeSupervised, IGNORE_INDEX } from "./supervised.ts";

/** How rows become examples; names and defaults are LlamaFactory's. */
export interface TokenizeOptions {
  stage: DataStage;
  cutoffLen: number;
  trainOnPrompt: boolean;
  maskHistory: boolean;
  /** Unset: on for `pt`, off for the others. */
  packing?: boolean;
  neatPacking: boolean;
  /** Rows are packed within batches of this many. */
  preprocessingBatchSize: number;
  /** The template's name, if one was given. */
  template?: string;
  /** Control tokens written in user text stay plain text. */
  splitSpecialTokens: boolean;
}

/** What happened to the rows on their way. */
export interface TokenizeReport {
  rows: number;
  examples: number;
  /** Rows without turns or without an answer, or longer than a pack. */
  droppedRows: number;
  /** Rows that lost tokens to the cutoff. */
  truncatedRows: number;
  /** Rows that kept no label to learn from. */
  unlabelledRows: number;
}

export interface Tokenized {
  dataset: TokenizedDataset;
  report: TokenizeReport;
}

/** Whether packing is on, and the cutoff it leaves: asking for it in so many words costs one token, as in LlamaFactory. */
export function resolvePacking(options: TokenizeOptions): { packing: boolean; cutoffLen: number } {
  const asked = options.packing === true || options.neatPacking;
  const packing = asked || (options.packing ?? options.stage === "pt");
  return { packing, cutoffLen: asked ? options.cutoffLen - 1 : options.cutoffLen };
}

function checkOptions(options: TokenizeOptions): void {
  const fail = (key: string, what: string): never => {
    throw new DataError("option", key, what, "remove one of them");
  };
  if (options.maskHistory && options.trainOnPrompt) fail("mask_history", "cannot be combined with train_on_prompt");
  if (options.stage !== "sft") {
    for (const [key, isSet] of Object.entries({
      neat_packing: options.neatPacking,
      train_on_prompt: options.trainOnPrompt,
      mask_history: options.maskHistory,
    })) {
      if (isSet) fail(key, `cannot be combined with stage ${options.stage}`);
    }
  }
  if (resolvePacking(options).cutoffLen < 1)
    throw new DataError("option", "cutoff_len", "leaves no room for a token", "give a larger number");
}

function* batches<T>(items: readonly T[], size: number): Generator<[first: number, batch: T[]]> {
  for (let first = 0; first < items.length; first += size) yield [first, items.slice(first, first + size)];
}

function isUsable(row: AlignedRow, answers: number): boolean {
  return row.prompt.length % 2 === 1 && row.response.length === answers;
}

function hasLabel(labels: ArrayLike<number>): boolean {
  return Array.prototype.some.call(labels, (label, index) => index > 0 && label !== IGNORE_INDEX);
}

function encodeBatch(
  batch: readonly AlignedRow[],
  first: number,
  encoder: Encoder,
  options: TokenizeOptions,
  report: TokenizeReport,
): NumberedRow[] {
  const { packing, cutoffLen } = resolvePacking(options);
  return batch.flatMap((row, index) => {
    if (!isUsable(row, 1)) {
      report.droppedRows++;
      return [];
    }
    const encoded = encodeSupervised(row, encoder, { ...options, cutoffLen });
    if (encoded.truncated) report.truncatedRows++;
    if (packing && encoded.inputIds.length > cutoffLen) {
      report.droppedRows++;
      return [];
    }
    if (!hasLabel(encoded.labels)) report.unlabelledRows++;
    return [{ ...encoded, row: first + index }];
  });
}

function checkSupervised(report: TokenizeReport, options: TokenizeOptions): void {
  const usable = report.rows - report.droppedRows;
  if (usable === 0)
    throw new DataError("empty", "dataset", `none of ${report.rows} rows is usable`, "check the format and cutoff_len");
  if (report.unlabelledRows < usable) return;
  const what = `no row keeps a token to train on within ${options.cutoffLen} tokens`;
  throw new DataError("empty", "cutoff_len", what, "raise cutoff_len or shorten the rows");
}

function tokenizeSupervised(
  rows: readonly AlignedRow[],
  encoder: Encoder,
  options: TokenizeOptions,
  report: TokenizeReport,
): Example[] {
  const { packing, cutoffLen } = resolvePacking(options);
  const examples: Example[] = [];
  for (const [first, batch] of batches(rows, options.preprocessingBatchSize)) {
    const encoded = encodeBatch(batch, first, encoder, options, report);
    if (packing) examples.push(...packRows(encoded, { capacity: cutoffLen, neat: options.neatPacking }));
    else
      for (const { inputIds, labels, row } of encoded)
        examples.push(singleExample(Int32Array.from(inputIds), Int32Array.from(labels), row));
  }
  checkSupervised(report, options);
  return examples;
}

/** A pair that the cutoff leaves without a token of either answer compares nothing and is dropped. */
function tokenizePairs(
  rows: readonly AlignedRow[],
  encoder: Encoder,
  options: TokenizeOptions,
  report: TokenizeReport,
): Example[] {
  const examples = rows.flatMap((row, number) => {
    const pair = isUsable(row, 2) ? encodePair(row, encoder, options.cutoffLen) : undefined;
    if (pair === undefined || !hasTokens(pair)) {
      report.droppedRows++;
      return [];
    }
    if (pair.truncated) report.truncatedRows++;
    return [pairExample(pair, number)];
  });
  checkSupervised(report, options);
  return examples;
}

function tokenizePretrain(
  rows: readonly AlignedRow[],
  { tokenizer }: Encoder,
  options: TokenizeOptions,
  report: TokenizeReport,
): Example[] {
  const { packing, cutoffLen } = resolvePacking(options);
  const settings = {
    packing,
    cutoffLen,
    template: options.template,
    allowSpecial: !options.splitSpecialTokens,
  };
  const examples: Example[] = [];
  for (const [first, batch] of batches(rows, options.preprocessingBatchSize)) {
    const texts = batch.flatMap(({ prompt: [turn] }, index) =>
      turn ? [{ text: turn.content, row: first + index }] : [],
    );
    report.droppedRows += batch.length - texts.length;
    for (const block of encodePretrain(texts, tokenizer, settings)) {
      if (block.truncated) report.truncatedRows++;
      const inputIds = Int32Array.from(block.inputIds);
      examples.push(singleExample(inputIds, pretrainLabels(inputIds, tokenizer, IGNORE_INDEX), block.row));
    }
  }
  if (examples.some(({ labels }) => hasLabel(labels))) return examples;
  if (examples.length > 0 && cutoffLen > 1)
    throw new DataError("empty", "dataset", "no text has two tokens to learn from", "add longer text");
  if (examples.length > 0)
    throw new DataError(
      "empty",
      "cutoff_len",
      "a block of 1 token has no next token to learn",
      "raise cutoff_len to at least 2, or 3 with packing: true",
    );
  throw new DataError(
    "empty",
    "cutoff_len",
    `the texts do not fill one block of ${cutoffLen} tokens`,
    "lower cutoff_len or add text",
  );
}

const tokenizers = { sft: tokenizeSupervised, pt: tokenizePretrain, dpo: tokenizePairs, rm: tokenizePairs };

/** Examples of a run's rows in order, packed if asked; throws a DataError if nothing is left to train on. */
export function tokenizeRows(rows: readonly AlignedRow[], encoder: Encoder, options: TokenizeOptions): Tokenized {
  checkOptions(options);
  const report: TokenizeReport = {
    rows: rows.length,
    examples: 0,
    droppedRows: 0,
    truncatedRows: 0,
    unlabelledRows: 0,
  };
  const examples = tokenizers[options.stage](rows, encoder, options, report);
  report.examples = examples.length;
  return { dataset: datasetOf(examples), report };
}

/** Prompts and expected answers of rows to be answered (`do_predict`); rows that end with an answer too many are dropped. */
export function tokenizePrompts(
  rows: readonly AlignedRow[],
  encoder: Encoder,
  options: TokenizeOptions,
): PromptExample[] {
  const { cutoffLen } = resolvePacking(options);
  return rows.flatMap((row, index) =>
    row.prompt.length % 2 === 1 ? [{ ...encodePrompt(row, encoder, cutoffLen), row: index }] : [],
  );
}
