// Examples in documents as files of their own: what they print is what their comments say.
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { vi } from "vitest";
import { root, type Block } from "./documents.ts";

/** `console.log(…); // text`: the texts, in order. */
export function promised(code: string): string[] {
  const lines = code.matchAll(/^\s*console\.log\(.*\);\s*\/\/ (.*)$/gm);
  return [...lines].map(([, text]) => text as string);
}

/** The block as a module of its own. */
export const moduleOf = ({ code }: Block): string => `${code}\nexport {};\n`;

/** A folder as the examples assume it: a model, an adapter, data and a configuration. */
export class Workplace {
  readonly folder: string = mkdtempSync(join(tmpdir(), "welltempered-example-"));

  constructor() {
    cpSync(join(root, "fixtures/llamafactory/model"), join(this.folder, "model"), { recursive: true });
    cpSync(join(root, "fixtures/llamafactory/adapter"), join(this.folder, "adapter"), { recursive: true });
    symlinkSync(join(root, "examples/data"), join(this.folder, "data"));
    writeFileSync(join(this.folder, "lora.yaml"), configuration);
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const configuration = `model_name_or_path: model
dataset_dir: data
dataset: docker_train
template: default
output_dir: saves/lora
do_train: true
finetuning_type: lora
max_steps: 2
cutoff_len: 64
save_strategy: "no"
threads: 1
`;

/** Runs a module in a folder and returns what it printed. */
export async function printed(path: string, folder: string): Promise<string[]> {
  const lines: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((...values: unknown[]) => {
    lines.push(values.map((value) => (typeof value === "string" ? value : inspect(value))).join(" "));
  });
  const before = process.cwd();
  process.chdir(folder);
  try {
    await import(/* @vite-ignore */ path);
  } finally {
    process.chdir(before);
    log.mockRestore();
  }
  return lines;
}
