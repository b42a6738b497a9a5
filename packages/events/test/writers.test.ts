import { describe, expect, it } from "vitest";
import { duration, lossPlot, plainLine, smooth, terminal, trainerLog, type RunEvent } from "../src/index.ts";

const start: RunEvent = {
  type: "run-start",
  stage: "sft",
  outputDir: "out",
  device: "cpu",
  examples: 100,
  epochs: 3,
  totalSteps: 40,
  startStep: 0,
  trainableParameters: 1000,
  allParameters: 100_000,
};
const step: RunEvent = { type: "step", step: 9, totalSteps: 40, epoch: 0.675, tokens: 50, secondsElapsed: 18 };
const log: RunEvent = {
  type: "log",
  step: 10,
  totalSteps: 40,
  epoch: 0.75,
  loss: 1.25,
  gradNorm: 0.5,
  learningRate: 1e-4,
  tokensPerSecond: 123.4,
  secondsElapsed: 20,
  secondsRemaining: 60,
  inputTokensSeen: 2400,
};
const evaluation: RunEvent = { type: "eval", step: 10, epoch: 0.75, metrics: { eval_loss: 1.5, eval_runtime: 5 } };
const end: RunEvent = {
  type: "run-end",
  reason: "finished",
  step: 40,
  epoch: 3,
  metrics: { train_loss: 1 },
  outputDir: "out",
};

describe("trainer_log.jsonl", () => {
  it("has LlamaFactory's keys in its order, and drops what is unknown", () => {
    const lines = [start, step, log, evaluation, end].map(trainerLog()).filter((line) => line !== undefined);
    expect(lines.map((line) => JSON.stringify(line))).toEqual([
      '{"current_steps":10,"total_steps":40,"loss":1.25,"lr":0.0001,"epoch":0.75,"percentage":25,"elapsed_time":"0:00:20","remaining_time":"0:01:00","throughput":120,"total_tokens":2400}',
      '{"current_steps":10,"total_steps":40,"eval_loss":1.5,"epoch":0.75,"percentage":25,"elapsed_time":"0:00:25","remaining_time":"0:01:00","throughput":96,"total_tokens":2400}',
      '{"current_steps":40,"total_steps":40,"epoch":3,"percentage":100,"elapsed_time":"0:00:25","remaining_time":"0:00:00","throughput":96,"total_tokens":2400}',
    ]);
  });

  it("writes durations as Python's timedelta", () => {
    const expected = ["0:00:00", "0:01:05", "0:59:59", "23:59:59", "1 day, 0:00:00", "2 days, 7:33:20"];
    expect([0, 65, 3599, 86_399, 86_400, 200_000].map(duration)).toEqual(expected);
  });
});

describe("the loss plot", () => {
  it("smooths with LlamaFactory's moving average", () => {
    // llamafactory.extras.ploting.smooth([3, 2.5, 2.2, 1.9, 1.0])
    const expected = [3.0, 2.5559588507972184, 2.239838096443422, 1.9380338986681762, 1.1049825979566108];
    smooth([3, 2.5, 2.2, 1.9, 1]).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 12));
    expect(smooth([])).toEqual([]);
  });

  it("is one SVG with both curves, and leaves out what is not a number", () => {
    const points = [1, 2, 3, 4].map((s) => ({ step: s, value: s === 3 ? Number.NaN : 1 / s }));
    const svg = lossPlot(points, "a<b");
    expect(svg).not.toMatch(/NaN|Infinity|a<b/);
    const curves = [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, path]) => path?.split(" ").length);
    expect(curves).toEqual([3, 3]);
  });

  it("draws an empty and a constant curve without a division by zero", () => {
    for (const points of [[], [{ step: 1, value: 2 }]]) expect(lossPlot(points)).not.toMatch(/NaN|Infinity/);
  });
});

describe("the terminal", () => {
  function drawn(live: boolean, events: RunEvent[]): string {
    let text = "";
    const { listen, close } = terminal({ write: (part) => (text += part), live, columns: 200 });
    events.forEach(listen);
    close();
    return text;
  }

  it("writes one plain line for each log when piped", () => {
    expect(drawn(false, [step, log, evaluation])).toBe(
      "step 10/40  epoch 0.75  loss 1.2500  grad_norm 0.5000  lr 1.00e-4  123 tok/s  0:01:00 left  tokens 2400\n" +
        "step 10  eval_loss 1.5000  eval_runtime 5\n",
    );
  });

  it("rewrites one line in place when live, and leaves no rest of it behind", () => {
    const text = drawn(true, [start, step, log, evaluation]);
    expect(text).toContain("\r\u001b[K██░░░░░░░░ step 9/40  3 tok/s  0:01:02 left");
    expect(text).toContain("loss 1.2500  lr 1.00e-4  123 tok/s  0:01:00 left");
    expect(text.endsWith("\r\u001b[Kstep 10  eval_loss 1.5000  eval_runtime 5\n")).toBe(true);
  });

  it("writes no line for a phase that was quick", () => {
    const phase = (done: number): RunEvent => ({ type: "progress", what: "tokenizing", done, total: 8 });
    expect(drawn(false, [phase(1), phase(8)])).toBe("");
    expect(drawn(true, [phase(1)])).toBe("\r\u001b[Ktokenizing 1/8\r\u001b[K");
  });

  it("never draws past the width of the terminal", () => {
    let longest = 0;
    const write = (part: string): void => void (longest = Math.max(longest, part.replace("\r\u001b[K", "").length));
    terminal({ write, live: true, columns: 30 }).listen(step);
    expect(longest).toBeLessThan(30);
  });

  it("shows control characters of data and names as escapes", () => {
    const notice = plainLine({ type: "notice", level: "warning", message: "row \u001b[31mred\nerror: forged" });
    expect(notice).toBe("warning: row \\u001b[31mred\\nerror: forged");
  });

  it("shows one example with what is masked", () => {
    const example: RunEvent = {
      type: "example",
      inputIds: [1, 2, 3],
      inputs: "a b c",
      labelIds: [-100, 2, 3],
      labels: "b c",
    };
    expect(plainLine(example)).toBe(
      "one training example: 3 tokens, loss on 2\ninput_ids: [1, 2, 3]\ninputs: a b c\nlabel_ids: [-100, 2, 3]\nlabels: b c",
    );
  });
});
