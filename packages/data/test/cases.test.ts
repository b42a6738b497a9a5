import { describe, expect, test } from "vitest";

import {
  collateSft,
  type Encoder,
  type Example,
  getTemplate,
  type LoadOptions,
  loadRows,
  type MixStrategy,
  type TokenizedDataset,
  type TokenizeOptions,
  tokenizePrompts,
  tokenizeRows,
} from "../src/index.ts";
import { efficientTemplate, fixtureTokenizer, LOAD, readFixture, TOKENIZE } from "./support.ts";

// Ids, labels, positions and masks that LlamaFactory 0.9.5 makes of the same files (tools/python/make_data_cases.py).

interface Row {
  input_ids: number[];
  labels?: number[];
  position_ids?: number[];
  attention_mask?: number[];
}

interface Case {
  name: string;
  options: Record<string, unknown> & {
    stage: "sft" | "pt";
    tokenizer?: string;
    template?: string;
    do_predict?: boolean;
  };
  expected: {
    eos: string;
    pad: string;
    train_dataset?: Row[];
    eval_dataset?: Row[];
    batch?: { size: number; all: number; non_padding: number; labels: number; shifted: number };
  };
}

const { cases } = JSON.parse(readFixture("cases.json")) as { cases: Case[] };
const names = (value: unknown): string[] => (typeof value === "string" ? value.split(",") : []);

function loadOptions({ options }: Case): LoadOptions {
  const probabilities = names(options["interleave_probs"]).map(Number);
  return {
    ...LOAD,
    stage: options.stage,
    dataset: names(options["dataset"]),
    evalDataset: names(options["eval_dataset"]),
    mixStrategy: (options["mix_strategy"] as MixStrategy | undefined) ?? "concat",
    valSize: (options["val_size"] as number | undefined) ?? 0,
    seed: (options["seed"] as number | undefined) ?? 42,
    predict: options.do_predict === true,
    ...(probabilities.length > 0 ? { interleaveProbs: probabilities } : {}),
    ...(typeof options["max_samples"] === "number" ? { maxSamples: options["max_samples"] } : {}),
  };
}

function tokenizeOptions({ options }: Case): TokenizeOptions {
  return {
    ...TOKENIZE,
    stage: options.stage,
    cutoffLen: (options["cutoff_len"] as number | undefined) ?? 2048,
    trainOnPrompt: options["train_on_prompt"] === true,
    maskHistory: options["mask_history"] === true,
    neatPacking: options["neat_packing"] === true,
    preprocessingBatchSize: (options["preprocessing_batch_size"] as number | undefined) ?? 1000,
    ...(typeof options["packing"] === "boolean" ? { packing: options["packing"] } : {}),
    ...(options.template === undefined ? {} : { template: options.template }),
  };
}

/** The template `efficient` that tools/python/make_data_cases.py registers. */
function encoderOf({ options }: Case): Encoder {
  const tokenizer = fixtureTokenizer(options.tokenizer);
  if (options.template !== "efficient") {
    return getTemplate(options.stage === "pt" ? (options.template ?? "empty") : options.template, tokenizer, {
      allowSpecial: true,
    });
  }
  return { tokenizer, template: efficientTemplate };
}

/** The example with LlamaFactory's padding and mask. */
function padded(example: Example, encoder: Encoder): Row {
  const length = example.paddedLength;
  const pad = <T>(values: readonly T[], filler: T): T[] => [
    ...values,
    ...Array.from({ length: length - values.length }, () => filler),
  ];
  const isNeat = example.segmentLengths.length > 1;
  return {
    input_ids: pad([...example.inputIds], encoder.tokenizer.specialTokens.pad!.id),
    labels: pad([...example.labels], -100),
    position_ids: pad([...example.positions], 0),
    attention_mask: pad(
      [...example.segmentLengths].flatMap((size, i) => Array.from({ length: size }, () => i + 1)),
      isNeat ? 0 : 1,
    ),
  };
}

function compareRows(dataset: TokenizedDataset, expected: readonly Row[], encoder: Encoder): void {
  expect(dataset.length).toBe(expected.length);
  expected.forEach((row, index) => {
    const ours = padded(dataset.get(index), encoder);
    expect(ours.input_ids).toEqual(row.input_ids);
    if (row.labels) expect(ours.labels).toEqual(row.labels);
    if (row.position_ids) expect(ours.position_ids).toEqual(row.position_ids);
    // A pack of one sequence is masked 1…1 0…0 with neat packing; the padding is no part of our rows.
    if (row.attention_mask && dataset.get(index).segmentLengths.length > 1)
      expect(ours.attention_mask).toEqual(row.attention_mask);
  });
}

describe("rows equal LlamaFactory's:", () => {
  test.each(cases)("$name", (item) => {
    const encoder = encoderOf(item);
    const rows = loadRows(loadOptions(item));
    const options = tokenizeOptions(item);
    const { train_dataset: train, eval_dataset: evaluation, batch } = item.expected;
    if (train) {
      const { dataset } = tokenizeRows(rows.train, encoder, options);
      compareRows(dataset, train, encoder);
      if (batch) compareBatch(dataset, batch, options);
    }
    if (evaluation && item.options.do_predict) {
      const prompts = tokenizePrompts(rows.evaluation.get("") ?? [], encoder, options);
      const plain = prompts.map(({ promptIds, labelIds }) => ({
        input_ids: [...promptIds],
        labels: [...labelIds],
      }));
      expect(plain).toEqual(evaluation);
    } else if (evaluation)
      compareRows(tokenizeRows(rows.evaluation.get("") ?? [], encoder, options).dataset, evaluation, encoder);
  });
});

function compareBatch(
  dataset: TokenizedDataset,
  expected: NonNullable<Case["expected"]["batch"]>,
  options: TokenizeOptions,
): void {
  const examples = Array.from({ length: expected.size }, (_, index) => dataset.get(index));
  const batch = collateSft(examples, { padToMultipleOf: 8 });
  expect(batch.paddedTokenCount).toBe(expected.all);
  expect(batch.labelCount).toBe(expected.labels);
  expect(batch.count).toBe(expected.shifted);
  // Plain packing counts its padding; neat packing's mask is four-dimensional upstream, so only our own tokens are counted.
  expect(batch.tokenCount).toBe(expected.non_padding);
  if (!options.neatPacking) expect(batch.rows.segments).toHaveLength(expected.size);
}
