import type { Example } from "@welltempered/data";
import type { Objective } from "../objective.ts";
import { languageModelObjective, type LanguageModelBatch } from "./language-model.ts";

/** Supervised fine-tuning: the answer's tokens, given the prompt's. */
export const sft = (): Objective<Example, LanguageModelBatch> => languageModelObjective("sft", { padToMultipleOf: 8 });
