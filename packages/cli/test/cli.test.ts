import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeConfig } from "@welltempered/config";
import { afterAll, describe, expect, it } from "vitest";
import { ownWords } from "../src/context.ts";
import { answerLines, answersOf, exactMatch, questionsOf, spread, textPlot } from "../src/demo-report.ts";
import { withDevice } from "../src/device.ts";
import { errorLine, failureOf } from "../src/errors.ts";
import { checkTarget } from "../src/folders.ts";
import { commandHelp, helpText } from "../src/help-text.ts";

const folder = mkdtempSync(join(tmpdir(), "cli-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("failures", () => {
  it("keep their exit code and message when they carry one", () => {
    const error = Object.assign(new Error("x.json:3: bad; fix it"), { name: "UserError", exitCode: 4 });
    expect(failureOf(error)).toMatchObject({ message: "x.json:3: bad; fix it", exitCode: 4 });
  });

  it("of the machine are 3 and say what to do", () => {
    const error = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", path: "out/a" });
    expect(failureOf(error)).toMatchObject({
      message: "out/a: ENOSPC; free some disk space and run again",
      exitCode: 3,
    });
  });

  it("of the kernels are 3 where memory or the library is missing", () => {
    const error = Object.assign(new Error("alloc: 8 GB"), { code: "OUT_OF_MEMORY", hint: "use a smaller batch" });
    expect(failureOf(error)).toMatchObject({ message: "alloc: 8 GB; use a smaller batch", exitCode: 3 });
  });

  it("of any other kind are internal, exit code 1", () => {
    expect(failureOf(new TypeError("x is undefined"))).toMatchObject({
      message: "internal: x is undefined; run with --debug and report it",
      exitCode: 1,
    });
    expect(failureOf("text").message).toMatch(/^internal: text/);
  });

  it("become one line of at most 300 characters without control characters", () => {
    const line = errorLine(`a\nb\u001b[31m${"x".repeat(1000)}`);
    expect(line).toMatch(/^error: a\\nb\\u001b\[31mx+…$/);
    expect(line).toHaveLength(300);
  });
});

describe("folders to write", () => {
  const model = join(folder, "model");
  mkdirSync(model);
  writeFileSync(join(folder, "file"), "");
  const { config } = makeConfig({ model_name_or_path: model }, "chat");
  const refusal = (target: string): string => {
    try {
      checkTarget("output_dir", target, config);
      return "accepted";
    } catch (error) {
      return (error as Error).message;
    }
  };

  it("may be new, nested, or oddly named", () => {
    expect(refusal(join(folder, "new"))).toBe("accepted");
    expect(refusal(join(folder, "a/b/$(touch c)"))).toBe("accepted");
    expect(refusal(join(folder, "model-2"))).toBe("accepted");
  });

  it("may not be files, lead through files, lie in the model or be too long", () => {
    expect(refusal(join(folder, "file"))).toMatch(/is a file/);
    expect(refusal(join(folder, "file/x"))).toMatch(/leads through a file/);
    expect(refusal(model)).toMatch(/inside the folder/);
    expect(refusal(join(model, "x/y"))).toMatch(/inside the folder/);
    expect(refusal(join(folder, "a".repeat(256)))).toMatch(/too long/);
  });
});

describe("the demo's report", () => {
  const jsonl =
    '{"prompt":"q","predict":" docker ps ","label":"docker ps"}\n{"prompt":"q","predict":"x","label":"y"}\n';

  it("counts answers that equal the label but for surrounding spaces", () => {
    expect(exactMatch(answersOf(jsonl))).toBe(50);
    expect(exactMatch([])).toBe(0);
  });

  it("shows what was wanted where the answer differs", () => {
    const questions = questionsOf(
      '[{"instruction":"List","input":"all","output":"docker ps"},{"instruction":"b","output":"y"}]',
    );
    expect(answerLines(questions, answersOf(jsonl), [0, 1])).toBe(
      "  ✓ List all\n       got: docker ps\n  ✗ b\n       got: x\n      want: y\n",
    );
  });

  it("spreads the shown rows over the whole set", () => {
    expect(spread(100, 4)).toEqual([12, 37, 62, 87]);
    expect(spread(2, 5)).toEqual([0, 1]);
  });

  it("plots a falling loss from the upper left to the lower right", () => {
    const rows = textPlot([4, 3, 2, 1], 4).split("\n");
    expect(rows[0]).toBe("   4.0000 │●");
    expect(rows[5]).toBe("   1.0000 │   ●");
    expect(textPlot([])).toBe("");
  });
});

describe("TEMPER_DEVICE", () => {
  const { config } = makeConfig({ model_name_or_path: "model" }, "chat");

  it("decides where the configuration leaves it open", () => {
    expect(withDevice(config, "reference").device).toBe("reference");
    expect(withDevice({ ...config, device: "cpu" }, "reference").device).toBe("cpu");
    expect(withDevice(config, undefined)).toBe(config);
  });

  it("may not be an unknown word", () => {
    expect(() => withDevice(config, "gpu")).toThrow(
      'TEMPER_DEVICE: "gpu" is unknown; use one of auto, cuda, cpu, wasm, reference',
    );
  });
});

describe("help", () => {
  it("lists every command", () => {
    for (const command of Object.keys(commandHelp)) expect(helpText).toContain(`temper ${command}`);
  });

  it("leaves flags of the whole program out of a command's words", () => {
    expect(ownWords(["a.yaml", "--json", "lora_rank=8", "--debug"])).toEqual(["a.yaml", "lora_rank=8"]);
  });
});
