import type { Example } from "@welltempered/data";
import type { Objective } from "../objective.ts";
import { languageModelObjective, type LanguageModelBatch } from "./language-model.ts";

/** Pre-training: every token, given those before it. */
export const pretrain = (): Objective<Example, LanguageModelBatch> =>
  languageModelObjective("pt", { padToMultipleOf: 1 });
