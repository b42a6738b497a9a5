// Kills at random times, damaged checkpoints and changed settings, with processes of the real command line.
import { cpSync, mkdirSync, readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { verifyManifest, writeFolderAtomic } from "@welltempered/checkpoint";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Box, inTurn, requireBuild, type Answer } from "../bad-input/box.ts";
import { checkpoints, common, complete, endOf, expectSame, lora, random, resumeBox, stepOf, steps } from "./runs.ts";

let box: Box;
beforeAll(async () => {
  requireBuild();
  box = resumeBox();
  await Promise.all([
    complete(box, [...lora, "output_dir=whole"]),
    complete(box, ["finetuning_type=full", "max_steps=5", "output_dir=full"]),
  ]);
});
afterAll(() => box.dispose());

function expectRefusal({ code, stdout, stderr }: Answer, says: string): void {
  const errors = stderr.split("\n").filter((line) => line.startsWith("error: "));
  expect({ code, stdout, errors }).toEqual({ code: 2, stdout: "", errors: [expect.stringContaining(says)] });
  expect(errors[0]?.length).toBeLessThanOrEqual(300);
}

/** A copy of a checkpoint of its own. */
function copyOf(checkpoint: string, name: string): string {
  mkdirSync(box.path(name));
  cpSync(box.path(checkpoint), box.path(`${name}/checkpoint-5`), { recursive: true });
  return `${name}/checkpoint-5`;
}

function flip(path: string, at: number, bit: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
  writeFileSync(path, bytes);
}

const resumed = (from: string, ...words: string[]): Promise<Answer> =>
  inTurn(() => box.run([...common, ...lora, `output_dir=${from}-out`, `resume_from_checkpoint=${from}`, ...words]));

describe("SIGKILL", () => {
  it.each([1, 2, 3, 4, 5])(
    "at a random time (seed %i): continued from the newest checkpoint, the end is the same",
    async (seed) => {
      const next = random(seed);
      const out = `killed-${seed}`;
      const run = box.start([...common, ...lora, "save_steps=2", "logging_steps=2", `output_dir=${out}`]);
      await run.until(new RegExp(`step ${2 * Math.floor(2 + next() * 13)}/${steps}`));
      await wait(next() * 25);
      run.process.kill("SIGKILL");
      expect((await run.done).signal).toBe("SIGKILL");
      const newest = checkpoints(box, out).at(-1) ?? "";
      expect(stepOf(newest)).toBeGreaterThan(0);
      expect(stepOf(newest)).toBeLessThan(steps);
      await complete(box, [...lora, `output_dir=${out}`, "resume_from_checkpoint=true"]);
      expectSame(box, out, "whole");
    },
  );
});

describe("a damaged checkpoint", () => {
  it.each(["whole", "full"])("of a %s run is refused by the name of the file, whichever it is", async (run) => {
    const next = random(run.length);
    const folder = copyOf(`${run}/checkpoint-5`, `damaged-${run}`);
    const words = run === "full" ? ["finetuning_type=full", "max_steps=6"] : [];
    const names = readdirSync(box.path(folder));
    expect(names).toEqual(expect.arrayContaining(["manifest.json", "optimizer.safetensors", "run_state.json"]));
    for (const name of names) {
      const path = box.path(join(folder, name));
      const good = readFileSync(path);
      flip(path, Math.floor(next() * good.length), Math.floor(next() * 8));
      expectRefusal(await resumed(folder, ...words), `checkpoint-5/${name}`);
      writeFileSync(path, good);
      truncateSync(path, statSync(path).size - 1);
      expectRefusal(await resumed(folder, ...words), `checkpoint-5/${name}`);
      writeFileSync(path, good);
    }
    expect(() => verifyManifest(box.path(folder))).not.toThrow();
  });

  it("is refused for a flipped bit at any place of its manifest", () => {
    const next = random(11);
    const folder = box.path(copyOf("whole/checkpoint-5", "manifest"));
    const path = join(folder, "manifest.json");
    const good = readFileSync(path);
    for (let at = 0; at < good.length; at++) {
      const bit = Math.floor(next() * 8);
      flip(path, at, bit);
      expect(() => verifyManifest(folder), `bit ${bit} of byte ${at}`).toThrow(/manifest\.json/);
      writeFileSync(path, good);
    }
    verifyManifest(folder);
  });

  it("is passed over, with a warning, where the newest complete one is asked for", async () => {
    cpSync(box.path("whole"), box.path("newest"), { recursive: true });
    flip(box.path("newest/checkpoint-40/optimizer.safetensors"), 900, 3);
    truncateSync(box.path("newest/checkpoint-35/run_state.json"), 10);
    mkdirSync(box.path("newest/checkpoint-99"));
    const words = [...lora, "output_dir=newest", "resume_from_checkpoint=true"];
    const { stderr } = await complete(box, words);
    for (const name of ["checkpoint-99", "checkpoint-40/optimizer.safetensors", "checkpoint-35/run_state.json"])
      expect(stderr).toMatch(new RegExp(`warning: .*${name}.*continuing from newest/checkpoint-30`));
    expectSame(box, "newest", "whole");
  });

  it("is refused by name where no other is there", async () => {
    const folder = copyOf("whole/checkpoint-5", "alone");
    truncateSync(box.path(`${folder}/adapter_model.safetensors`), 0);
    const answer = await box.run([...common, ...lora, "output_dir=alone", "resume_from_checkpoint=true"]);
    expectRefusal(answer, "checkpoint-5/adapter_model.safetensors: 0 bytes");
  });
});

it("a continuation without the moments of the optimizer would not end the same", async () => {
  const source = box.path("whole/checkpoint-5");
  const { facts } = verifyManifest(source);
  await writeFolderAtomic(
    box.path("forgetful"),
    "checkpoint-5",
    async (folder) => {
      await cp(source, folder, { recursive: true });
      await rm(join(folder, "manifest.json"));
      const path = join(folder, "optimizer.safetensors");
      const bytes = readFileSync(path);
      bytes.fill(0, 8 + Number(bytes.readBigUInt64LE(0)));
      writeFileSync(path, bytes);
    },
    facts,
  );
  expect(await resumed("forgetful/checkpoint-5", "output_dir=forgot")).toMatchObject({ code: 0 });
  expect(endOf(box, "forgot").weights).not.toEqual(endOf(box, "whole").weights);
});

describe("settings on resume", () => {
  it.each([
    ["learning_rate=0.01", "learning_rate 0.001 → 0.01"],
    ["lora_dropout=0.1", "lora_dropout 0.2 → 0.1"],
    ["cutoff_len=64", "cutoff_len 128 → 64"],
    ["lr_scheduler_type=linear", "lr_scheduler_type cosine → linear"],
    ["max_steps=50", "max_steps 40 → 50"],
    ["finetuning_type=full", "finetuning_type lora → full"],
    ["max_samples=10", "max_samples none → 10"],
    ["gradient_accumulation_steps=1", "gradient_accumulation_steps 2 → 1"],
  ])("%s is refused, with the old value and the new", async (word, says) => {
    expectRefusal(await resumed("whole/checkpoint-5", word), says);
  });

  it("other rows are refused", async () => {
    const rows = box.read("data/rows.json");
    box.write("data/rows.json", rows.toString().replace("it is 4", "it is 5"));
    try {
      expectRefusal(await resumed("whole/checkpoint-5"), "data ");
    } finally {
      box.write("data/rows.json", rows);
    }
  });

  it("logging, saving, evaluation and threads may change, and change no weight", async () => {
    const words = ["logging_steps=3", "save_steps=7", "eval_dataset=held", "eval_strategy=epoch", "threads=2"];
    expect(await resumed("whole/checkpoint-5", "output_dir=changed", "plot_loss=true", ...words)).toMatchObject({
      code: 0,
    });
    expect(endOf(box, "changed").weights).toEqual(endOf(box, "whole").weights);
  });
});
