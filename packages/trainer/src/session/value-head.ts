// The scalar head of a reward model, v_head.summary, in value_head.safetensors beside the adapter or the weights.

import { checkWeights, loadTensor, openValueHead, valueHeadName, writeSafetensors } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import type { Emit } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import type { ConfigRecord } from "@welltempered/models";
import { ValueHead, type CausalLM, type Parameter } from "@welltempered/nn";
import { cast, type Engine } from "@welltempered/tensor";
import { writtenTensors } from "./adapter-to-write.ts";

/** Where a head is that was trained before. */
const folderOf = ({ adapterNameOrPath, modelNameOrPath }: RunConfig): string =>
  adapterNameOrPath.at(-1) ?? modelNameOrPath;

function hasValueHead(folder: string): boolean {
  const file = openValueHead(folder);
  file?.close();
  return file !== undefined;
}

/** @throws {UserError} where a reward model that does not train has no head to score with */
export function checkValueHead(config: RunConfig, emit: Emit): void {
  const folder = folderOf(config);
  if (config.stage !== "rm" || hasValueHead(folder)) return;
  if (!config.doTrain)
    throw new UserError(`${folder}: holds no ${valueHeadName}, without which there are no scores; name a reward model`);
  if (config.adapterNameOrPath.length > 0)
    emit({ type: "notice", level: "warning", message: `${folder}: holds no ${valueHeadName}; a fresh head starts` });
}

/** What is left behind where the head beside an adapter is not asked for. */
export function tellValueHeadLeft(config: RunConfig, emit: Emit): void {
  const folder = folderOf(config);
  if (config.stage === "rm" || !hasValueHead(folder)) return;
  emit({
    type: "notice",
    level: "warning",
    message: `${folder}: its ${valueHeadName} is not exported; set stage: rm to export a reward model`,
  });
}

/** Gives the model of stage rm its head: the one that was trained before, or a fresh one. */
export function addValueHead(engine: Engine, model: CausalLM, config: RunConfig, record: ConfigRecord): void {
  if (config.stage !== "rm") return;
  // TRL's name and default; LlamaFactory leaves it there.
  const dropout = Number(record["summary_dropout_prob"] ?? 0.1);
  const head = new ValueHead(engine, model.headWeight.shape[1] ?? 0, dropout);
  for (const [, parameter] of head.namedParameters()) parameter.trainable = config.doTrain;
  model.v_head = head;
  loadValueHead(engine, model, folderOf(config));
}

const tensorsOf = (head: ValueHead): [name: string, parameter: Parameter][] =>
  [...head.namedParameters()].map(([name, parameter]) => [`v_head.${name}`, parameter]);

/** Parameters of the language model alone, which its own files hold. */
export const languageParameters = (model: CausalLM): [name: string, parameter: Parameter][] =>
  [...model.namedParameters()].filter(([name]) => !name.startsWith("v_head."));

export async function saveValueHead(folder: string, engine: Engine, { v_head: head }: CausalLM): Promise<void> {
  if (head === undefined) return;
  await writeSafetensors(`${folder}/${valueHeadName}`, writtenTensors(engine, tensorsOf(head)));
}

/** Fills the head of a model that has one from a folder that holds one. */
export function loadValueHead(engine: Engine, { v_head: head }: CausalLM, folder: string): void {
  const file = head === undefined ? undefined : openValueHead(folder);
  if (head === undefined || file === undefined) return;
  try {
    const tensors = tensorsOf(head);
    checkWeights(file, new Map(tensors));
    for (const [name, parameter] of tensors)
      engine.noGrad(() =>
        engine.scope(() => parameter.replace(cast(engine.adopt(loadTensor(engine.backend, file, name)), "f32"))),
      );
  } finally {
    file.close();
  }
}
