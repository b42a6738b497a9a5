// Tokenizer, template and rows of a run.

import type { OpenModel } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import {
  diskFolder,
  getTemplate,
  loadRowsFrom,
  tokenizePrompts,
  tokenizeRows,
  type AlignedRow,
  type DataFolder,
  type LoadedRows,
  type PromptExample,
  type TemplateChoice,
  type TokenizedDataset,
  type TokenizeOptions,
} from "@welltempered/data";
import type { Emit } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import { createGgufTokenizer, createTokenizer, type Tokenizer } from "@welltempered/tokenizer";
import { loadTokenizer } from "#node";
import { withNewTokens, type RunText } from "./vocabulary.ts";

/** The model's tokenizer, with the tokens of the configuration and the template's. @throws {UserError} where the model cannot embed them */
export async function loadText(base: OpenModel, config: RunConfig, emit: Emit): Promise<RunText> {
  const { tokenizer, resizeVocab } = withNewTokens(await tokenizerOf(base), config, emit);
  const choice = getTemplate(config.template, tokenizer, {
    allowSpecial: !config.splitSpecialTokens,
    ...(config.defaultSystem === undefined ? {} : { defaultSystem: config.defaultSystem }),
  });
  if (resizeVocab) return { ...choice, resizeVocab };
  const rows = Number(base.config["vocab_size"]);
  checkEmbeddings(choice, rows);
  if (choice.addedTokens.length > 0 && choice.tokenizer.vocabSize > rows) {
    const names = choice.addedTokens.join(" ");
    emit({
      type: "notice",
      level: "warning",
      message: `template ${choice.template.name} uses ${names}, which the model has no embedding for; choose the model's own template, or set resize_vocab: true`,
    });
  }
  return { ...choice, resizeVocab };
}

/** Every turn of a template with tokens that are not in the embedding would end in an index out of range. */
function checkEmbeddings({ template, tokenizer }: TemplateChoice, rows: number): void {
  const turns = ["user", "assistant"].map((role) => ({ role: role as "user" | "assistant", content: "x" }));
  const missing = template
    .encodeOneturn(tokenizer, turns, "x")
    .flat()
    .filter((id) => id >= rows);
  if (missing.length === 0) return;
  const names = [...new Set(missing)].map((id) => tokenizer.idToToken(id) ?? id).join(" ");
  throw new UserError(
    `template: ${template.name} writes ${names}, which the model has no embedding for; choose the model's own template, or set resize_vocab: true`,
  );
}

async function tokenizerOf({ path, tokenizer }: OpenModel): Promise<Tokenizer> {
  if (tokenizer.kind === "folder") return loadTokenizer(tokenizer.path);
  if (tokenizer.kind === "files") return createTokenizer(tokenizer.files, tokenizer.path);
  if (tokenizer.kind === "gguf") return createGgufTokenizer(tokenizer.tokenizer, tokenizer.path);
  throw new UserError(`${path}: has no tokenizer; add its tokenizer.json`);
}

/** Rows of the configured data sets, before tokenisation. */
export function loadTexts(
  config: RunConfig,
  emit: Emit,
  folder: DataFolder = diskFolder(config.datasetDir),
): LoadedRows {
  const loaded = loadRowsFrom(folder, {
    stage: config.stage,
    dataset: config.doTrain || config.valSize > 0 ? config.dataset : [],
    evalDataset: config.doEval || config.doPredict ? config.evalDataset : [],
    ...(config.maxSamples === undefined ? {} : { maxSamples: config.maxSamples }),
    mixStrategy: "concat",
    valSize: config.valSize,
    evalOnEachDataset: false,
    seed: config.seed,
    skipBadRows: config.skipBadRows,
    predict: config.predictWithGenerate && config.doPredict && !config.doTrain && !config.doEval,
  });
  const { count, first } = loaded.badRows;
  if (count > 0)
    emit({ type: "notice", level: "warning", message: `${count} rows were skipped, the first: ${first ?? ""}` });
  return loaded;
}

/** All rows that evaluation or prediction uses. */
export const evaluationRows = ({ evaluation }: LoadedRows): AlignedRow[] => [...evaluation.values()].flat();

export function tokenize(
  rows: readonly AlignedRow[],
  text: TemplateChoice,
  config: RunConfig,
  emit: Emit,
): TokenizedDataset {
  const { dataset, report } = tokenizeRows(rows, text, tokenizeOptions(config));
  const counts = {
    truncated: report.truncatedRows,
    "without a label left": report.unlabelledRows,
    dropped: report.droppedRows,
  };
  const told = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}`);
  if (told.length > 0) emit({ type: "notice", level: "warning", message: `of ${report.rows} rows ${told.join(", ")}` });
  return dataset;
}

export const tokenizePredict = (
  rows: readonly AlignedRow[],
  text: TemplateChoice,
  config: RunConfig,
): PromptExample[] => tokenizePrompts(rows, text, tokenizeOptions(config));

function tokenizeOptions(config: RunConfig): TokenizeOptions {
  const packing = config.packingAsked ? { packing: true } : config.packing ? {} : { packing: false };
  return {
    stage: config.stage,
    cutoffLen: config.cutoffLen,
    trainOnPrompt: config.trainOnPrompt,
    maskHistory: config.maskHistory,
    ...packing,
    neatPacking: config.neatPacking,
    preprocessingBatchSize: 1000,
    ...(config.template === undefined ? {} : { template: config.template }),
    splitSpecialTokens: config.splitSpecialTokens,
  };
}
