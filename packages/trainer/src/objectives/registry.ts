import type { Stage } from "@welltempered/config";
import type { Example } from "@welltempered/data";
import type { Objective } from "../objective.ts";
import type { LanguageModelBatch } from "./language-model.ts";
import { pretrain } from "./pretrain.ts";
import { sft } from "./sft.ts";

/** `stage` → objective: one line each. */
export const objectives: Readonly<Record<Stage, () => Objective<Example, LanguageModelBatch>>> = { sft, pt: pretrain };
