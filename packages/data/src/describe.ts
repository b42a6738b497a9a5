import type { Tokenizer } from "@welltempered/tokenizer";

import { IGNORE_INDEX } from "./encode/supervised.ts";
import type { Example } from "./example.ts";

/** One example as a person reads it: what goes in, and what is trained on. */
export interface ExampleDescription {
  inputIds: number[];
  inputs: string;
  /** −100 where masked. */
  labelIds: number[];
  /** The tokens that are trained on, decoded. */
  labels: string;
}

/** Decodes an example, control tokens included. */
export function describeExample(example: Example, tokenizer: Tokenizer): ExampleDescription {
  const inputIds = [...example.inputIds];
  const labelIds = [...example.labels];
  const trained = labelIds.filter((label) => label !== IGNORE_INDEX);
  return {
    inputIds,
    inputs: tokenizer.decode(inputIds),
    labelIds,
    labels: tokenizer.decode(trained),
  };
}

/** The description as the text LlamaFactory prints before training, with a line on what is masked. */
export function formatExample({ inputIds, inputs, labelIds, labels }: ExampleDescription): string {
  const trained = labelIds.filter((label) => label !== IGNORE_INDEX).length;
  return [
    `input_ids:\n[${inputIds.join(", ")}]`,
    `inputs:\n${inputs}`,
    `label_ids:\n[${labelIds.join(", ")}]`,
    `labels:\n${labels}`,
    `trained on ${trained} of ${labelIds.length} tokens; the rest (${IGNORE_INDEX}) is masked`,
  ].join("\n");
}
