import type { RunConfig, Stage } from "@welltempered/config";
import type { Example } from "@welltempered/data";
import type { Objective } from "../objective.ts";
import { dpoObjective, type ReferencePass } from "./dpo.ts";
import { pretrain } from "./pretrain.ts";
import { rewardModel } from "./rm.ts";
import { sft } from "./sft.ts";

/** What an objective may be made from. */
export interface ObjectiveParts {
  config: RunConfig;
  /** Undefined where the stage has no reference. */
  reference: ReferencePass | undefined;
}

const dpo = ({ config, reference }: ObjectiveParts): Objective<Example> =>
  dpoObjective({
    loss: config.prefLoss,
    beta: config.prefBeta,
    labelSmoothing: config.dpoLabelSmoothing,
    simpoGamma: config.simpoGamma,
    ftx: config.prefFtx,
    reference,
  });

/** `stage` → objective: one line each. */
export const objectives: Readonly<Record<Stage, (parts: ObjectiveParts) => Objective<Example>>> = {
  sft,
  pt: pretrain,
  rm: rewardModel,
  dpo,
};
