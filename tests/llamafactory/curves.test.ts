// Whole YAML files against the logs of LlamaFactory 0.9.5 itself (fixtures/llamafactory, made by
// tools/python/make_llamafactory_curves.py): every key unchanged but for paths.

import { openSafetensors } from "@welltempered/checkpoint";
import { loadConfig } from "@welltempered/config";
import type { RunEvent } from "@welltempered/events";
import { runTraining } from "@welltempered/trainer";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = new URL("../../", import.meta.url).pathname;
const fixtures = join(root, "fixtures/llamafactory");
interface Entry {
  step: number;
  epoch: number;
  loss: number;
  grad_norm: number;
  learning_rate: number;
  num_input_tokens_seen: number;
}
const logs = JSON.parse(readFileSync(join(fixtures, "logs.json"), "utf8")) as Record<string, Entry[]>;
const cases = readdirSync(join(fixtures, "cases")).map((name) => name.replace(".yaml", ""));
const scratch = mkdtempSync(join(tmpdir(), "welltempered-curves-"));

/** Runs a case with overrides and returns its log. */
async function run(name: string, ...overrides: string[]): Promise<{ history: Entry[]; folder: string }> {
  const folder = mkdtempSync(join(scratch, `${name}-`));
  const { config } = loadConfig(
    [join(fixtures, "cases", `${name}.yaml`), `output_dir=${folder}`, ...overrides],
    "train",
  );
  const events: RunEvent[] = [];
  await runTraining(
    config,
    (event) => events.push(event),
    () => false,
  );
  const state = JSON.parse(readFileSync(join(folder, "trainer_state.json"), "utf8")) as { log_history: Entry[] };
  return { history: state.log_history.filter(({ loss }) => loss !== undefined), folder };
}

const relative = (ours: number, theirs: number): number => Math.abs(ours - theirs) / Math.abs(theirs);

/** The first difference beyond the tolerances, in words. */
function difference(ours: readonly Entry[], theirs: readonly Entry[], countTokens: boolean): string | undefined {
  if (ours.length !== theirs.length) return `${ours.length} steps, not ${theirs.length}`;
  for (const [index, mine] of ours.entries()) {
    const other = theirs[index]!;
    if (relative(mine.loss, other.loss) > 5e-6) return `step ${index + 1}: loss ${mine.loss}, not ${other.loss}`;
    if (relative(mine.grad_norm, other.grad_norm) > 2e-5)
      return `step ${index + 1}: grad_norm ${mine.grad_norm}, not ${other.grad_norm}`;
    if (Math.abs(mine.learning_rate - other.learning_rate) > 1e-12)
      return `step ${index + 1}: lr ${mine.learning_rate}, not ${other.learning_rate}`;
    if (Math.abs(mine.epoch - other.epoch) > 1e-12) return `step ${index + 1}: epoch ${mine.epoch}, not ${other.epoch}`;
    if (countTokens && mine.num_input_tokens_seen !== other.num_input_tokens_seen)
      return `step ${index + 1}: ${mine.num_input_tokens_seen} tokens, not ${other.num_input_tokens_seen}`;
  }
  return undefined;
}

function frobenius(ours: Float32Array, theirs: Float32Array): number {
  let [distance, norm] = [0, 0];
  for (const [index, value] of theirs.entries()) {
    distance += ((ours[index] ?? Number.NaN) - value) ** 2;
    norm += value ** 2;
  }
  return Math.sqrt(distance / norm);
}

const floats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.slice().buffer);
const cwd = process.cwd();

beforeAll(() => process.chdir(root));
afterAll(() => {
  process.chdir(cwd);
  rmSync(scratch, { recursive: true, force: true });
});

describe("the log of a YAML file is LlamaFactory's", () => {
  it("for at least twenty differing files", () => expect(cases.length).toBeGreaterThanOrEqual(20));

  it.each(cases)("%s", async (name) => {
    const { history, folder } = await run(name);
    // With neat packing LlamaFactory's token count is nonsense (its masks are not 0 and 1).
    expect(difference(history, logs[name]!, !name.includes("neat"))).toBeUndefined();
    const final = join(fixtures, "final", `${name}.safetensors`);
    if (!existsSync(final)) return;
    const theirs = openSafetensors(final);
    const file = ["adapter_model.safetensors", "model.safetensors"]
      .map((model) => join(folder, model))
      .find(existsSync)!;
    const ours = openSafetensors(file);
    for (const tensor of theirs.names()) {
      expect(frobenius(floats(ours.read(tensor)), floats(theirs.read(tensor))), tensor).toBeLessThan(1e-3);
    }
  });
});

describe("a wrong setting is seen", () => {
  it.each([
    ["no weight decay", "weight_decay=0"],
    ["another β2", "adam_beta2=0.998"],
    ["another β1", "adam_beta1=0.899"],
    ["another epsilon", "adam_epsilon=1e-6"],
    ["no clipping", "max_grad_norm=0"],
    ["one warm-up step less", "warmup_steps=2"],
    ["another schedule", "lr_scheduler_type=linear"],
    ["another template", "template=default"],
    ["loss on the prompt", "train_on_prompt=true"],
    ["another learning rate", "learning_rate=0.01001"],
    ["half the accumulation", "gradient_accumulation_steps=1"],
  ])("%s", async (_, override) => {
    const { history } = await run("chatml-alpaca", override);
    expect(difference(history, logs["chatml-alpaca"]!, true)).toBeDefined();
  });
});
