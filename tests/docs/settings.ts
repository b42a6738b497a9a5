// YAML in documents and examples, judged by the real configuration and data code.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig, type RunConfig } from "@welltempered/config";
import { loadRows } from "@welltempered/data";
import { root } from "./documents.ts";

/** What a fragment leaves out but a run needs. */
const rest: Readonly<Record<string, string>> = {
  model_name_or_path: "model",
  dataset: "docker_train",
  output_dir: "saves/lora",
  do_train: "true",
};

/** What the configuration code says about a YAML text, undefined where it accepts it. */
export function refusal(yaml: string): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "welltempered-yaml-"));
  const file = join(folder, "block.yaml");
  const missing = Object.entries(rest).filter(([key]) => !new RegExp(`^${key}:`, "m").test(yaml));
  try {
    writeFileSync(file, yaml);
    loadConfig([file, ...missing.map(([key, value]) => `${key}=${value}`)]);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Fetched at run time, or made by the step before: a clean checkout has neither. */
const madeLater = (name: string): boolean => /^(\.cache|saves)\//.test(name);

/** Files that an example's configuration names and that are not there. */
export function missingFiles(path: string): string[] {
  const { config } = loadConfig([join(root, path)]);
  const named = [config.modelNameOrPath, ...config.adapterNameOrPath, config.datasetDir];
  const absent = named.filter((name) => !madeLater(name) && !existsSync(join(root, name)));
  if (absent.length > 0) return absent;
  return madeLater(config.datasetDir) ? [] : missingRows(config);
}

function missingRows({ stage, datasetDir, dataset, evalDataset }: RunConfig): string[] {
  try {
    loadRows({
      stage,
      datasetDir: join(root, datasetDir),
      dataset,
      evalDataset,
      mixStrategy: "concat",
      valSize: 0,
      evalOnEachDataset: false,
      seed: 0,
      skipBadRows: false,
      predict: false,
    });
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}
