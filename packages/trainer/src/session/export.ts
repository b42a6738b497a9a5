// runExport: adapters merged into the base, written as a Hugging Face model folder.

import { checkWritable } from "@welltempered/checkpoint";
import type { RunConfig } from "@welltempered/config";
import type { Emit } from "@welltempered/events";
import { UserError } from "@welltempered/formats";
import { existsSync, readdirSync } from "node:fs";
import { openEngine } from "./engine.ts";
import { checkMergeable, loadModel, type LoadedModel } from "./load-model.ts";
import { openBase } from "./open-base.ts";
import { loadText } from "./load-text.ts";
import { prepareRunFolder } from "./run-folder.ts";
import { exportCodec, quantizeAgain, tellDequantized, tellExpanded } from "./quantize.ts";
import type { SavedDtype } from "./adapter-to-write.ts";
import { saveModel } from "./save-model.ts";
import { tellValueHeadLeft } from "./value-head.ts";
import { resizeVocab } from "./vocabulary.ts";

/** @throws {UserError} with the exit code of the command */
export async function runExport(config: RunConfig, emit: Emit): Promise<void> {
  const folder = config.exportDir;
  if (folder === undefined) throw new UserError("export_dir: is missing; name the folder to write");
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new UserError(`export_dir: ${folder} is not empty; choose another folder`);
  checkMergeable(config.adapterNameOrPath);
  const base = openBase(config);
  const codec = exportCodec(config, base.weights);
  const engine = openEngine(config);
  const text = await loadText(base, config, emit);
  const loaded = loadModel(resizeVocab(base, text, config, emit), {
    engine,
    config: { ...config, doTrain: false },
    emit,
  });
  base.weights.close();
  try {
    tellValueHeadLeft(config, emit);
    tellDequantized(loaded.adapter?.merge() ?? 0, emit, codec);
    if (codec === undefined) tellExpanded(loaded.model, dtypeOf(config, loaded), emit);
    else quantizeAgain(loaded.model, codec);
    prepareRunFolder(folder);
    await checkWritable(folder);
    emit({ type: "progress", what: "exporting", done: 0, total: 1 });
    await saveModel(folder, engine, loaded, text.tokenizer, {
      dtype: dtypeOf(config, loaded),
      codec,
      shardBytes: config.exportSize * 1e9,
      title: config.modelNameOrPath,
    });
    emit({ type: "progress", what: "exporting", done: 1, total: 1 });
  } finally {
    loaded.model.dispose();
  }
}

/** `infer_dtype: auto` keeps half precision and turns f32 into bf16, as LlamaFactory's export does. */
function dtypeOf({ inferDtype }: RunConfig, { storedDtype }: LoadedModel): SavedDtype {
  const chosen = inferDtype === "auto" ? (storedDtype === "float16" ? "float16" : "bfloat16") : inferDtype;
  return ({ float32: "f32", bfloat16: "bf16", float16: "f16" } as const)[chosen];
}
