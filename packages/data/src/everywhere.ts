// What every entry of the package has: all that asks no file system.

export {
  type CollatedAnswers,
  type CollatedRows,
  type CollateOptions,
  collatePairs,
  collateSft,
  type PairBatch,
  pairSides,
  type SftBatch,
} from "./collate.ts";
export { describeExample, type ExampleDescription, formatExample } from "./describe.ts";
export { inferSeqlen, type SequenceLengths } from "./encode/infer-seqlen.ts";
export { encodeAnswer } from "./encode/pairwise.ts";
export { encodePrompt, type PromptExample } from "./encode/prompt.ts";
export {
  type EncodedRow,
  type Encoder,
  encodeSupervised,
  IGNORE_INDEX,
  type SupervisedOptions,
} from "./encode/supervised.ts";
export {
  resolvePacking,
  type Tokenized,
  type TokenizeOptions,
  tokenizePrompts,
  type TokenizeReport,
  tokenizeRows,
} from "./encode/tokenize.ts";
export { DataError, type DataErrorCode } from "./errors.ts";
export { datasetOf, type Example, singleExample, type TokenizedDataset } from "./example.ts";
export { type BadRows, type LoadedRows, loadRowsFrom, type RowOptions } from "./load/load-rows.ts";
export { mixDatasets, type MixOptions, type MixStrategy } from "./load/mix.ts";
export { type Split, splitDataset } from "./load/split.ts";
export { type AlignedRow, type DataStage, isOfPairs, type Message, type Role, type RowTemplate } from "./messages.ts";
export { greedyKnapsack } from "./pack/knapsack.ts";
export { epochOrder, type EpochOrderOptions } from "./random/order.ts";
export { Pcg64 } from "./random/pcg64.ts";
export { type DataFolder } from "./read/folder.ts";
export { memoryFolder } from "./read/memory.ts";
export { type BadRowHandler, rowsOf, type SourceRow } from "./read/rows.ts";
export { type Columns, type DatasetEntry, type Formatting, type Tags } from "./registry/attributes.ts";
export { datasetsIn } from "./registry/registry.ts";
export { createTemplate } from "./templates/create.ts";
export { recoverTemplate } from "./templates/from-jinja.ts";
export { fixSpecialTokens, getTemplate, type TemplateChoice } from "./templates/get-template.ts";
export { findTemplate, templateNames } from "./templates/registry.ts";
export { templateToJinja } from "./templates/to-jinja.ts";
export {
  type Slot,
  type Template,
  type TemplateOptions,
  type TemplateSpec,
  type ToolFormat,
} from "./templates/types.ts";
