// Adapter folders on the disk.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "@welltempered/formats";
import {
  adapterConfigText,
  type AdapterFolder,
  type AdapterToWrite,
  adapterWeights,
  configName,
} from "./adapter-folder.ts";
import { writeFileAtomic } from "./atomic-file.ts";
import { shownPath } from "./input.ts";
import { makeFolder } from "./io.ts";
import { checkFolder, fileInside, readJsonFile } from "./model-folder.ts";
import { openSafetensors } from "./open-safetensors.ts";
import { writeSafetensors } from "./write-safetensors.ts";

/** Opens an adapter folder made by peft or by this project; throws a one-line UserError. Close `weights` when done. */
export function readAdapterFolder(path: string): AdapterFolder {
  checkFolder(path);
  const configFile = fileInside(path, configName);
  if (!configFile) throw new UserError(`${shownPath(path)}: holds no ${configName}; give a folder with a PEFT adapter`);
  const config = readJsonFile(configFile);
  const library = typeof config["peft_type"] === "string" ? "peft" : "adapters";
  if (library === "adapters" && (typeof config["config"] !== "object" || config["config"] === null))
    throw new UserError(`${shownPath(configFile)}:peft_type: is missing; give the config of a PEFT adapter`);
  const weightsName = adapterWeights[library];
  const weightsFile = fileInside(path, weightsName);
  if (weightsFile) return { path, config, weights: openSafetensors(weightsFile) };
  const pickle = library === "peft" ? "adapter_model.bin" : "pytorch_adapter.bin";
  const isPickle = existsSync(join(path, pickle));
  throw new UserError(
    `${shownPath(path)}: holds ${isPickle ? `only ${pickle}, and pickle is not read; convert to safetensors` : `no ${weightsName}; give the whole adapter`}`,
  );
}

/** Writes an adapter folder that `PeftModel.from_pretrained`, or `load_adapter` of `adapters`, loads; each file is whole or not there, the config comes last. */
export async function writeAdapterFolder(
  folder: string,
  { library = "peft", config, tensors, readme }: AdapterToWrite,
): Promise<void> {
  await makeFolder(folder);
  await writeSafetensors(join(folder, adapterWeights[library]), tensors);
  if (readme !== undefined) await writeFileAtomic(join(folder, "README.md"), readme);
  await writeFileAtomic(join(folder, configName), adapterConfigText(config));
}
