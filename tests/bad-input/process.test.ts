// Faults of a running process: signals, two at once, damaged checkpoints, panics, loss that is no number; and hostile
// inputs that must be handled literally rather than refused.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openSafetensors } from "@welltempered/checkpoint";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Box, goodRows, requireBuild, type Answer } from "./box.ts";

const temper = fileURLToPath(new URL("../../packages/cli/bin/temper.js", import.meta.url));
/** A run that would take long: it is stopped by what the test does. */
const long = ["train", "run.yaml", "max_steps=100000", "logging_steps=1", "lr_scheduler_type=constant"];

/** After truncation to 8 tokens nothing of the answer is left. */
const targetless = { instruction: "long ".repeat(400), output: "bbbbbbbb" };

let box: Box;
beforeAll(requireBuild);
beforeEach(() => void (box = new Box()));
afterEach(() => box.dispose());

function expectRefusal(answer: Answer, exit: number, says: RegExp): void {
  expect({ code: answer.code, stderr: answer.stderr.trimEnd().split("\n").at(-1) }).toEqual({
    code: exit,
    stderr: expect.stringMatching(says),
  });
  expect(answer.stderr.match(/^error: /gm)).toHaveLength(1);
  expect(answer.stdout).toBe("");
}

function checkpoints(): string[] {
  return readdirSync(box.path("out"))
    .filter((name) => name.startsWith("checkpoint-"))
    .sort();
}

/** The losses of trainer_log.jsonl. */
function losses(folder = "out"): number[] {
  const lines = box.read(`${folder}/trainer_log.jsonl`).toString().trim().split("\n");
  return lines.map((line) => (JSON.parse(line) as { loss?: number }).loss).filter((loss) => loss !== undefined);
}

describe("the runner itself", () => {
  it("ends what a test leaves running", async () => {
    const run = box.start(long);
    await run.until(/step \d+\/100000/);
    box.dispose();
    expect((await run.done).signal).toBe("SIGKILL");
  });
});

describe("signals", () => {
  it.each([
    ["L1", "SIGINT", 130],
    ["L2", "SIGTERM", 143],
  ] as const)(
    "%s: one %s finishes the step, saves and ends with %i, and the run goes on from there",
    async (_id, signal, code) => {
      const run = box.start(long);
      await run.until(/step \d+\/100000/);
      run.process.kill(signal);
      const answer = await run.done;
      expect({ code: answer.code, stdout: answer.stdout }).toEqual({ code, stdout: "" });
      const [saved = ""] = checkpoints();
      expect(saved).toMatch(/^checkpoint-\d+$/);
      const step = Number(saved.split("-")[1]);
      const again = await box.run([...long, `max_steps=${step + 1}`, "resume_from_checkpoint=true"]);
      expect(again).toMatchObject({ code: 0 });
      expect(losses()).toHaveLength(step + 1);
    },
  );

  it("L1: a second SIGINT ends the process within a second", async () => {
    const run = box.start(long);
    await run.until(/step \d+\/100000/);
    run.process.kill("SIGINT");
    run.process.kill("SIGINT");
    await run.until(/stopping/).catch(() => {});
    const since = performance.now();
    run.process.kill("SIGINT");
    const { code } = await run.done;
    expect(code).toBe(130);
    expect(performance.now() - since).toBeLessThan(1000);
  });
});

describe("two processes", () => {
  it("H6: the second on one run folder is refused, and the first goes on", async () => {
    const first = box.start(long);
    await first.until(/step \d+\/100000/);
    expectRefusal(await box.run(long), 2, /out/);
    first.process.kill("SIGINT");
    expect((await first.done).code).toBe(130);
  });

  it("H6: the lock of a process that died is no obstacle", async () => {
    const first = box.start(long);
    await first.until(/step \d+\/100000/);
    first.process.kill("SIGKILL");
    await first.done;
    expect(await box.run(["train", "run.yaml", "overwrite_output_dir=true"])).toMatchObject({ code: 0 });
  });
});

describe("damaged checkpoints", () => {
  const damages: [what: string, damage: (path: string) => void][] = [
    [
      "one byte flipped",
      (path) => {
        const bytes = readFileSync(path);
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
        writeFileSync(path, bytes);
      },
    ],
    ["cut short", (path) => truncateSync(path, statSync(path).size >> 1)],
    ["empty", (path) => truncateSync(path, 0)],
  ];

  it.each(damages)("H2: each file %s is refused by name", async (_what, damage) => {
    expect(await box.run(["train", "run.yaml", "save_strategy=steps", "save_steps=2"])).toMatchObject({ code: 0 });
    const folder = box.path("out/checkpoint-2");
    for (const name of readdirSync(folder)) {
      const good = readFileSync(join(folder, name));
      damage(join(folder, name));
      const answer = await box.run(["train", "run.yaml", "max_steps=3", "resume_from_checkpoint=out/checkpoint-2"]);
      expectRefusal(answer, 2, new RegExp(`checkpoint-2.*${name.replaceAll(".", "\\.")}`));
      writeFileSync(join(folder, name), good);
    }
  });

  it("H2: a missing file is refused by name", async () => {
    expect(await box.run(["train", "run.yaml", "save_strategy=steps", "save_steps=2"])).toMatchObject({ code: 0 });
    box.remove("out/checkpoint-2/adapter_model.safetensors");
    const answer = await box.run(["train", "run.yaml", "max_steps=3", "resume_from_checkpoint=out/checkpoint-2"]);
    expectRefusal(answer, 2, /adapter_model\.safetensors/);
  });

  it("H2: a checkpoint that does not exist is refused", async () => {
    expectRefusal(await box.run(["train", "run.yaml", "resume_from_checkpoint=out/checkpoint-9"]), 2, /checkpoint-9/);
  });
});

describe("faults inside a run", () => {
  it("M1: a loss that is no number stops with 4 before any weight changes, and names the step and the rows", async () => {
    const run = ["train", "run.yaml", "max_steps=3", "save_strategy=steps", "save_steps=1", "disable_shuffling=true"];
    const answer = await box.run(run, { TEMPER_FAULT: "nan:2" });
    expectRefusal(answer, 4, /step 2.*row/);
    expect(checkpoints()).toEqual(["checkpoint-1"]);
    const hash = (): string =>
      createHash("sha256").update(box.read("out/checkpoint-1/adapter_model.safetensors")).digest("hex");
    const before = hash();
    expect(
      await box.run([
        ...run.slice(0, 2),
        "max_steps=1",
        "save_strategy=steps",
        "save_steps=1",
        "disable_shuffling=true",
        "overwrite_output_dir=true",
      ]),
    ).toMatchObject({ code: 0 });
    expect(hash()).toBe(before);
  });

  it("M1: so does one on a step that is not logged", async () => {
    expectRefusal(
      await box.run(["train", "run.yaml", "logging_steps=100"], { TEMPER_FAULT: "nan:1" }),
      4,
      /step 1.*row/,
    );
  });

  it("M2: an infinite gradient skips the step and says so; more than 20 in a row stop with 4", async () => {
    const once = await box.run(["train", "run.yaml"], { TEMPER_FAULT: "inf-grad:1" });
    expect(once).toMatchObject({ code: 0, stderr: expect.stringMatching(/step 1: .*step skipped, 1 in all/) });
    const always = ["train", "run.yaml", "max_steps=30", "overwrite_output_dir=true"];
    const answer = await box.run(always, { TEMPER_FAULT: "inf-grad:1-30" });
    expect(answer.code).toBe(4);
    expect(answer.stderr).toMatch(/error: step 21: .*21 in a row/);
  });

  it("M5: a learning rate of 1e20 stops with 4", async () => {
    expectRefusal(
      await box.run(["train", "run.yaml", "learning_rate=1e20", "max_steps=50", "max_grad_norm=0"]),
      4,
      /step/,
    );
  });

  it.each([
    ["panic", "matmul"],
    ["panic", "linearCrossEntropy"],
    ["panic", "adamw"],
    ["panic-drop", "rmsNorm"],
  ])("L4: a %s in %s is an error with its name, not a crash", async (kind, op) => {
    const answer = await box.run(["train", "run.yaml"], { TEMPER_FAULT: `${kind}:${op}` });
    expect(answer).toMatchObject({ code: 1, signal: null, stdout: "" });
    expect(answer.stderr.match(/^error: .*$/gm)).toEqual([expect.stringContaining(op)]);
  });

  it("K1: memory that runs out in the middle of a run is one line", async () => {
    const answer = await box.run(["train", "run.yaml"], { TEMPER_FAULT: "memory:500000" });
    expectRefusal(
      answer,
      3,
      /^error: \w+: no memory for .* bytes; these save most: [a-z_0-9]+: [^;]* \(.* GB less\)(; [a-z_0-9]+: [^;]* GB less\)){2}$/,
    );
    expect(existsSync(box.path("out/adapter_model.safetensors"))).toBe(false);
  });

  it("E9: rows that lose their target are counted", async () => {
    box.rows("rows.json", [...goodRows(3), targetless, targetless]);
    const answer = await box.run(["train", "run.yaml", "cutoff_len=8"]);
    expect(answer).toMatchObject({ code: 0, stderr: expect.stringMatching(/of 5 rows .*\b2 without a label left/) });
  });

  // transformers' float32 logits of the same ids, cross-entropy in float64: 5.823800674860432.
  it("M4: a micro-batch without a target in a good batch changes nothing", async () => {
    const one = ["train", "run.yaml", "cutoff_len=8", "disable_shuffling=true", "max_steps=1"];
    const ones = [...one, "per_device_train_batch_size=1"];
    box.rows("rows.json", goodRows(1));
    expect(await box.run([...ones, "output_dir=alone"])).toMatchObject({ code: 0 });
    box.rows("rows.json", [...goodRows(1), targetless]);
    expect(await box.run([...ones, "gradient_accumulation_steps=2"])).toMatchObject({ code: 0 });
    expect(losses()[0]).toBeCloseTo(5.823800674860432, 5);
    expect(box.read("out/adapter_model.safetensors")).toEqual(box.read("alone/adapter_model.safetensors"));
  });

  it("M4: an evaluation set without a target is refused", async () => {
    const entries = { rows: { file_name: "rows.json" }, held: { file_name: "held.json" } };
    box.write("data/dataset_info.json", JSON.stringify(entries));
    box.rows("held.json", [targetless]);
    const run = ["train", "run.yaml", "cutoff_len=8", "do_eval=true", "eval_dataset=held"];
    expectRefusal(await box.run(run), 2, /^error: cutoff_len: no row keeps a token/);
    expect(existsSync(box.path("out"))).toBe(false);
  });

  it("M4: a step without any target is told and changes no weight", async () => {
    const run = ["train", "run.yaml", "cutoff_len=8", "disable_shuffling=true", "per_device_train_batch_size=1"];
    box.rows("rows.json", [...goodRows(1), targetless]);
    expect(await box.run([...run, "max_steps=1", "output_dir=one"])).toMatchObject({ code: 0 });
    const answer = await box.run([...run, "max_steps=2", "lr_scheduler_type=constant"]);
    expect(answer).toMatchObject({ code: 0, stderr: expect.stringMatching(/step 2: no token .* is trained on/) });
    expect(box.read("out/adapter_model.safetensors")).toEqual(box.read("one/adapter_model.safetensors"));
  });

  // transformers' float32 logits, cross-entropy in float64 over 10 + 2 + 1 labels, as counted before the shift.
  it("M4: a text of one token counts as transformers counts it, and divides nothing by zero", async () => {
    box.dataset({ file_name: "rows.json", columns: { prompt: "text" } });
    box.rows("rows.json", [{ text: "hello world" }, { text: "a" }, { text: "" }]);
    const run = ["train", "run.yaml", "stage=pt", "packing=false", "disable_shuffling=true", "max_steps=1"];
    const ones = ["per_device_train_batch_size=1", "gradient_accumulation_steps=3"];
    expect(await box.run([...run, ...ones])).toMatchObject({ code: 0 });
    expect(losses()[0]).toBeCloseTo(5.094462189659993, 5);
  });

  it("M4: a batch of one, accumulated, has the loss of the batch of two", async () => {
    const base = ["train", "run.yaml", "disable_shuffling=true", "max_steps=1"];
    expect(await box.run([...base, "output_dir=two"])).toMatchObject({ code: 0 });
    const ones = ["per_device_train_batch_size=1", "gradient_accumulation_steps=2", "output_dir=ones"];
    expect(await box.run([...base, ...ones])).toMatchObject({ code: 0 });
    const [two = Number.NaN] = losses("two");
    expect(losses("ones")[0]).toBeCloseTo(two, 5);
  });

  it("M4: rows of one character and an empty answer give a finite loss", async () => {
    box.rows("rows.json", [{ instruction: "a", output: "" }, { instruction: "", output: "b" }, ...goodRows(2)]);
    const answer = await box.run(["train", "run.yaml", "per_device_train_batch_size=1", "max_steps=4"]);
    expect(answer).toMatchObject({ code: 0 });
    expect(losses().every((loss) => Number.isFinite(loss) && loss > 0)).toBe(true);
  });
});

describe("files that change or lie", () => {
  it("B6: weights that another process cuts after they were opened are an error, not a crash", async () => {
    const path = box.path("model/model.safetensors");
    const source = openSafetensors(path);
    truncateSync(path, 64);
    const [name = ""] = source.names();
    expect(() => source.read(name)).toThrow(expect.objectContaining({ name: "UserError", exitCode: 2 }));
    source.close();
  });

  it("A3: Python beside the weights of a known architecture is never run", async () => {
    box.config({ auto_map: { AutoModelForCausalLM: "modeling_x.Model" } });
    box.write("model/modeling_x.py", `open(${JSON.stringify(box.path("canary"))}, "w")\n`);
    expect(await box.run(["train", "run.yaml", "trust_remote_code=true"])).toMatchObject({ code: 0 });
    expect(existsSync(box.path("canary"))).toBe(false);
  });

  it("E2: skip_bad_rows counts what it leaves out", async () => {
    box.rows("rows.json", [...goodRows(6), { instruction: "a", output: 5 }, "b"]);
    const answer = await box.run(["train", "run.yaml", "skip_bad_rows=true"]);
    expect(answer).toMatchObject({ code: 0, stderr: expect.stringMatching(/\b2\b.*rows?/) });
  });

  it.each(["$(touch pwned)", "a;touch pwned", "`touch pwned`", "a\nb", "ünïcode 模型", "--rm"])(
    "G5: the run folder %j is taken literally",
    async (name) => {
      const answer = await box.run(["train", "run.yaml", `output_dir=${name}`]);
      expect(answer).toMatchObject({ code: 0 });
      expect(readdirSync(box.folder)).toEqual(expect.arrayContaining([name]));
      expect(existsSync(box.path("pwned"))).toBe(false);
      expect(existsSync(box.path(`${name}/adapter_model.safetensors`))).toBe(true);
    },
  );
});

describe("the command line itself", () => {
  it.each([["--help"], ["-h"], ["help"], [], ["--version"], ["train", "--help"]])(
    "G6: %s answers on standard output",
    async (...args) => {
      const answer = await box.run(args.filter((arg) => arg !== undefined));
      expect(answer).toMatchObject({ code: 0, stderr: "" });
      expect(answer.stdout.length).toBeGreaterThan(5);
      // The rule is 300 ms on a quiet machine.
      expect(answer.milliseconds).toBeLessThan(3000);
    },
  );

  it("G6: a reader that closes standard output leaves no trace", async () => {
    const child = spawn(process.execPath, [temper, "help", "keys"], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.destroy();
    let stderr = "";
    child.stderr.on("data", (part: Buffer) => (stderr += part.toString()));
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  it("G6: an unknown PORT or other variable changes nothing", async () => {
    expect(await box.run(["--version"], { PORT: "abc" })).toMatchObject({ code: 0 });
  });
});
