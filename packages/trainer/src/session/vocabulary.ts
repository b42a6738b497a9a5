// Tokens that the configuration adds, and the rows that embedding and head get for them: LlamaFactory's `resize_vocab`.

import type { AdapterFolder, OpenModel } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import type { TemplateChoice } from "@welltempered/data";
import type { Emit } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import { architectureOf, type Architecture, type Weights } from "@welltempered/models";
import { Embedding, type CausalLM } from "@welltempered/nn";
import type { Engine, Shape } from "@welltempered/tensor";
import type { Tokenizer } from "@welltempered/tokenizer";
import { growTable, type NewRows } from "./new-rows.ts";

/** A model on disk, and how it is built. */
export type Base = OpenModel & { architecture: Architecture; vocabulary?: Vocabulary };

/** A vocabulary that was resized, or was asked to be and needed no rows. */
export interface Vocabulary {
  /** What the checkpoint holds. */
  stored: Architecture;
  /** The checkpoint's weights, with rows for the new tokens. */
  grow(engine: Engine, load: Weights): Weights;
}

/** Template and tokenizer of a run. */
export interface RunText extends TemplateChoice {
  /** `resize_vocab` was asked for, or the configuration added tokens. */
  resizeVocab: boolean;
}

const multiple = 64;

/** The tokenizer with the tokens that the configuration adds. As for LlamaFactory, any that is new asks for rows. */
export function withNewTokens(
  tokenizer: Tokenizer,
  config: RunConfig,
  emit: Emit,
): { tokenizer: Tokenizer; resizeVocab: boolean } {
  const warn = (message: string): void => emit({ type: "notice", level: "warning", message });
  const described = Object.keys(config.newSpecialTokensConfig);
  const special = described.length > 0 ? described : config.addSpecialTokens;
  if (described.length > 0 && config.addSpecialTokens.length > 0)
    warn("add_special_tokens is not used: new_special_tokens_config names the special tokens");
  if (config.initSpecialTokens !== "noise_init" && described.length === 0)
    warn(
      `init_special_tokens: ${config.initSpecialTokens} needs new_special_tokens_config; new rows start as noise_init`,
    );
  if (special.length > 0 && config.splitSpecialTokens)
    warn(
      `${special.join(" ")} stay plain text in the rows' own text; set split_special_tokens: false if the rows use them`,
    );
  const extended = tokenizer.withAddedTokens(config.addTokens, false).withAddedTokens(special, true);
  return { tokenizer: extended, resizeVocab: config.resizeVocab || extended !== tokenizer };
}

/** The base with rows for all tokens: a multiple of 64, unless there are enough. */
export function resizeVocab(base: Base, text: RunText, config: RunConfig, emit: Emit): Base {
  if (!text.resizeVocab) return base;
  const before = Number(base.config["vocab_size"]);
  const { vocabSize } = text.tokenizer;
  const stored = base.architecture;
  if (startsAdapter(config) && config.additionalTarget.length === 0)
    emit({
      type: "notice",
      level: "warning",
      message:
        "resize_vocab: embedding and head are trained in full and saved with the adapter; additional_target says otherwise",
    });
  if (vocabSize <= before) return { ...base, vocabulary: { stored, grow: (_engine, load) => load } };
  const after = Math.ceil(vocabSize / multiple) * multiple;
  const record = { ...base.config, vocab_size: after };
  const architecture = architectureOf(record);
  emit({
    type: "notice",
    level: "info",
    message: `vocabulary: ${before} → ${after} rows in embedding and head for ${vocabSize} tokens`,
  });
  const described = describedRows(text, config, before, emit);
  const rows = { before, after, init: config.initSpecialTokens, described, seed: config.seed };
  return {
    ...base,
    config: record,
    architecture,
    vocabulary: { stored, grow: (engine, load) => grownWeights(engine, load, { stored, architecture, rows }) },
  };
}

const startsAdapter = ({ doTrain, finetuningType, adapterNameOrPath, createNewAdapter }: RunConfig): boolean =>
  doTrain && finetuningType !== "full" && (adapterNameOrPath.length === 0 || createNewAdapter);

/**
 * The new rows whose tokens have a description, and the tokens of it that the checkpoint has rows for. LlamaFactory
 * counts the padding to 64 as tokens too and so leaves out the last old ones, and takes the first new rows whatever their
 * tokens; where neither matters the rows are the same.
 */
function describedRows(
  { tokenizer }: RunText,
  { newSpecialTokensConfig, splitSpecialTokens, initSpecialTokens }: RunConfig,
  before: number,
  emit: Emit,
): NewRows["described"] {
  if (initSpecialTokens === "noise_init") return [];
  return Object.entries(newSpecialTokensConfig).flatMap(([token, description]) => {
    const row = tokenizer.tokenToId(token) ?? -1;
    if (row < before) return [];
    const ids = tokenizer.encode(description, { allowSpecial: !splitSpecialTokens }).filter((id) => id < before);
    if (ids.length === 0)
      emit({
        type: "notice",
        level: "warning",
        message: `new_special_tokens_config: the description of ${token} has no token of the model; its row starts as the mean`,
      });
    return [{ row, ids: Int32Array.from(ids) }];
  });
}

interface Growth {
  stored: Architecture;
  architecture: Architecture;
  rows: NewRows;
}

/** Tensors that have a row a token (the head's too, where it is not tied) are loaded as they are stored, and grown. */
function grownWeights(engine: Engine, load: Weights, { stored, architecture, rows }: Growth): Weights {
  const before = stored.expectedWeights();
  const grown = [...architecture.expectedWeights()].filter(([name, shape]) => shape[0] !== before.get(name)?.[0]);
  const names = grown.map(([name]) => name);
  const embedding = names.find((name) => name !== "lm_head.weight") ?? "";
  return (name, shape) => {
    const storedShape = before.get(name) ?? shape;
    const table = load(name, storedShape);
    if (!names.includes(name)) return table;
    const described = name === embedding || rows.described.length === 0 ? table : load(embedding, storedShape);
    return growTable(engine, table, described, `resize/${name}`, rows);
  };
}

/** LlamaFactory's rule: an adapter on a resized vocabulary trains embedding and head in full, if nothing else is said. */
export function trainsVocabulary(config: RunConfig, model: CausalLM): RunConfig {
  if (config.additionalTarget.length > 0) return config;
  const modules = [...model.namedModules()].filter(
    ([, module]) => module instanceof Embedding || module === model.lm_head,
  );
  return { ...config, additionalTarget: modules.map(([path]) => path.slice(path.lastIndexOf(".") + 1)) };
}

/** An adapter with embedding or head of another vocabulary than the model's. @throws {UserError} */
export function checkVocabulary({ path, weights }: AdapterFolder, expected: ReadonlyMap<string, Shape>): void {
  for (const [name, [rows]] of expected) {
    const held =
      /\.(embed_tokens|lm_head)\.weight$/.test(name) && weights.has(name) ? weights.info(name).shape[0] : rows;
    if (held !== rows)
      throw new UserError(
        `${path}: was trained with ${held} rows of vocabulary, the model has ${rows}; give the resize_vocab, add_tokens, add_special_tokens and template of that run`,
      );
  }
}

/** On a resized vocabulary peft writes layers that are trained in full under two more names; the plain one holds the trained weight. */
export const writtenAgain = ({ weights }: AdapterFolder): Set<string> =>
  new Set(
    weights.names().filter((name) => {
      const plain = name.replace(/\.(modules_to_save|original_module)\.(?=\w+$)/, ".");
      return plain !== name && weights.has(plain);
    }),
  );
