import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../../..");
const words = [
  `model_name_or_path=${join(root, "fixtures/llamafactory/model")}`,
  `dataset_dir=${join(root, "fixtures/llamafactory/data")}`,
  "dataset=alpaca",
  "template=default",
  "do_train=true",
  "num_train_epochs=2",
];

function temper(args: readonly string[], env: Record<string, string> = {}): ReturnType<typeof spawnSync> {
  return spawnSync(process.execPath, [join(root, "packages/cli/bin/temper.js"), ...args], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
}

it("plan prints a table for people", () => {
  const { status, stdout, stderr } = temper(["plan", ...words]);
  expect([status, stderr]).toEqual([0, ""]);
  const names = String(stdout)
    .split("\n")
    .map((line) => line.slice(0, 16).trim());
  const parts = ["weights", "trained", "optimizer", "activations", "gradients", "kernels", "program", "peak memory"];
  expect(names).toEqual(["model", ...parts, "tokens a step", "seconds a step", "steps", "run", "machine", ""]);
});

it("plan says which keys would help where memory is short, also as JSON", () => {
  const { stdout } = temper(["plan", ...words, "finetuning_type=full"], { TEMPER_MEMORY_LIMIT: "1000000" });
  expect(stdout).toMatch(/does not fit: .* GB .* with pure_bf16: true/);
  const json = temper(["plan", ...words, "finetuning_type=full", "--json"], { TEMPER_MEMORY_LIMIT: "1000000" });
  const forecast: unknown = JSON.parse(String(json.stdout));
  expect(forecast).toMatchObject({
    memory: { peak: expect.any(Number) },
    availableMemory: 1_000_000,
    time: { secondsPerStep: expect.any(Number), steps: expect.any(Number) },
    machine: { device: expect.stringContaining("cpu") },
  });
});

it.each([
  [["plan", ...words, "do_train=false", "do_eval=true", "val_size=2"], /^error: .*do_train/],
  [["plan", ...words.slice(1), "model_name_or_path=/nowhere"], /^error: \/nowhere/],
  [["plan", ...words, "dataset=nothing"], /^error: .*nothing/],
  [["plan", "no.yaml"], /^error: no\.yaml: no such file/],
])("plan %j is refused on one line", (args, says) => {
  const { status, stdout, stderr } = temper(args);
  expect([status, stdout]).toEqual([2, ""]);
  expect(stderr).toMatch(says);
  expect(String(stderr).trim().split("\n")).toHaveLength(1);
});
