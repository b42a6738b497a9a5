// The head of a reward model beside its adapter or its weights, in the file that LlamaFactory keeps it in.
import { UserError } from "@welltempered/formats";
import { statSync } from "node:fs";
import { shownPath } from "./input.ts";
import { fileInside } from "./model-folder.ts";
import { valueHeadName } from "./adapter-folder.ts";
import { openSafetensors } from "./open-safetensors.ts";
import type { WeightSource } from "./weight-source.ts";

const pickle = "value_head.bin";

/** The head of a model or adapter folder, undefined where there is none; throws a one-line UserError. Close it when done. */
export function openValueHead(folder: string): WeightSource | undefined {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return undefined;
  const file = fileInside(folder, valueHeadName);
  if (file !== undefined) return openSafetensors(file);
  if (fileInside(folder, pickle) === undefined) return undefined;
  throw new UserError(
    `${shownPath(folder)}: holds only ${pickle}, and pickle is not read; convert it to ${valueHeadName}`,
  );
}
