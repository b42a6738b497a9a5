// Makes the bundled base model from nothing: corpus, `temper train` pt, then sft twice, bf16 export to examples/demo-base.
// The tokenizer is checked in (train_tokenizer.py made it from the same corpus). About an hour and a half on two cores.
// Usage: node tools/demo-base/build.mjs [OUT_DIR]
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const here = join(root, "tools/demo-base");
const base = join(root, "examples/demo-base");
const work = join(root, "saves/demo-base");
const out = process.argv[2] ?? base;

const node = (...words) => execFileSync(process.execPath, words, { cwd: root, stdio: "inherit" });
const temper = (...words) => node(join(root, "packages/cli/bin/temper.js"), ...words);

rmSync(work, { recursive: true, force: true });
mkdirSync(join(work, "start"), { recursive: true });
copyFileSync(join(here, "config.json"), join(work, "start/config.json"));
for (const file of ["tokenizer.json", "tokenizer_config.json"])
  copyFileSync(join(base, file), join(work, "start", file));

node(join(here, "make-corpus.mjs"), work);
/** A trained stage as bf16: what the next one starts from, or what is bundled. */
const exported = (recipe, stage, folder) => {
  rmSync(join(work, folder), { recursive: true, force: true });
  const model = `model_name_or_path=saves/demo-base/${stage}`;
  temper("export", join(here, recipe), model, `export_dir=saves/demo-base/${folder}`, "infer_dtype=bfloat16");
};
temper("train", join(here, "pretrain.yaml"));
temper("train", join(here, "instruct.yaml"));
exported("instruct.yaml", "instructed", "half");
temper("train", join(here, "polish.yaml"));
exported("polish.yaml", "polished", "exported");
mkdirSync(out, { recursive: true });
for (const file of [
  "config.json",
  "generation_config.json",
  "model.safetensors",
  "tokenizer.json",
  "tokenizer_config.json",
]) {
  copyFileSync(join(work, "exported", file), join(out, file));
}
