// From the start of `temper train` to its first finished step: SmolLM2-135M as a GGUF and as safetensors.
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fetchSmolLM2 } from "../../tools/fetch-smollm2.mjs";
import { root } from "../../tools/lib.mjs";
import { summary } from "../lib/statistics.mjs";
import { command, firstStep, temper } from "../lib/temper.mjs";

const yaml = "examples/docker-smollm2.yaml";

/** The GGUF as a Hugging Face folder, made once. */
export async function smolLM2Folder(dtype) {
  await fetchSmolLM2();
  const folder = join(root, ".cache/bench", `smollm2-${dtype}`);
  if (existsSync(folder)) return folder;
  mkdirSync(dirname(folder), { recursive: true });
  const work = mkdtempSync(`${folder}-`);
  try {
    const words = [`export_dir=${work}/model`, `infer_dtype=${dtype}`];
    command(process.execPath, [temper, "export", yaml, ...words], { quiet: true });
    renameSync(join(work, "model"), folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}

/** The first round fills the system's cache of files and is not counted. */
export async function run({ rounds = "5", threads = "2" } = {}) {
  const folder = await smolLM2Folder("bfloat16");
  const words = { gguf: [], safetensors: [`model_name_or_path=${folder}`] };
  const times = { gguf: [], safetensors: [] };
  for (let round = 0; round <= Number(rounds); round++) {
    for (const [form, more] of Object.entries(words))
      times[form].push(await firstStep(yaml, [...more, `threads=${threads}`]));
  }
  const measured = Object.entries(times).map(([form, all]) => {
    const counted = all.slice(1);
    return [form, { step: summary(counted.map(({ step }) => step)), end: summary(counted.map(({ end }) => end)) }];
  });
  return {
    settings: { yaml, rounds: Number(rounds), threads: Number(threads) },
    milliseconds: Object.fromEntries(measured),
    table: measured.flatMap(([form, { step, end }]) => [
      [`${form}: first step finished after`, text(step)],
      [`${form}: ended, adapter saved, after`, text(end)],
    ]),
    goals: measured.flatMap(([form, { step }]) => [
      { what: `${form}: at most 3 s`, reached: step.median <= 3000 },
      { what: `target, ${form}: at most 1.2 s`, reached: step.median <= 1200 },
    ]),
  };
}

const text = ({ median, range }) => `${median.toFixed(0)} ms (${range.map((x) => x.toFixed(0)).join(" … ")})`;
