import { Parameter, type CausalLM } from "@welltempered/nn";
import { cast, streamOf } from "@welltempered/tensor";
import { AdapterError } from "../errors.ts";
import type { AttachedMethod } from "../method.ts";
import { readPromptTuningConfig, writePromptTuningConfig, type PromptTuningConfig } from "./config.ts";
import { PromptTuning } from "./prompt.ts";

function attach(
  model: CausalLM,
  { init, initText, numVirtualTokens }: PromptTuningConfig,
  tokenize?: (text: string) => readonly number[],
): PromptTuning {
  const { engine } = model.headWeight.tensor;
  const fromText = init === "TEXT" && initText !== null && tokenize !== undefined;
  const table = fromText
    ? embeddingsOf(model, tokenize(initText), numVirtualTokens)
    : new Parameter(
        engine.normal([numVirtualTokens, model.headWeight.shape[1] ?? 0], 0, 1, streamOf("prompt_embeddings")),
      );
  const prompt = new PromptTuning(table);
  model.prefix = prompt;
  return prompt;
}

/** Embeddings of the ids, repeated or cut to `count`, as peft does. */
function embeddingsOf(model: CausalLM, ids: readonly number[], count: number): Parameter {
  const [vocabulary = 0] = model.headWeight.shape;
  if (ids.length === 0) throw new AdapterError("prompt_tuning_init_text has no tokens; write some text");
  if (ids.some((id) => id >= vocabulary))
    throw new AdapterError("prompt_tuning_init_text has tokens that the model has no embedding for; write another");
  const { engine } = model.headWeight.tensor;
  return engine.noGrad(() =>
    engine.scope(
      () =>
        new Parameter(
          cast(model.embed(Int32Array.from({ length: count }, (_, at) => ids[at % ids.length] ?? 0)), "f32"),
        ),
    ),
  );
}

export const promptTuning: AttachedMethod<PromptTuningConfig> = {
  read: readPromptTuningConfig,
  write: writePromptTuningConfig,
  attach,
};
