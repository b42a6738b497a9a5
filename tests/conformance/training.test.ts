// A run of the real command line on two backends: one loss curve.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeBackends } from "@welltempered/kernels";
import { type Box, requireBuild } from "../bad-input/box.ts";
import { complete, resumeBox } from "../resume/runs.ts";

const wasm = describeBackends().backends.find(({ name }) => name === "wasm");
const absent = wasm?.available !== true && process.env["CI"] !== "true";

describe.skipIf(absent)("device: wasm", () => {
  let box: Box;
  beforeAll(() => {
    requireBuild();
    box = resumeBox();
  });
  afterAll(() => box.dispose());

  async function losses(device: string): Promise<number[]> {
    await complete(box, [`device=${device}`, "logging_steps=1", `output_dir=${device}`]);
    const lines = box.read(`${device}/trainer_log.jsonl`).toString().trim().split("\n");
    return lines.flatMap((line) => (JSON.parse(line) as { loss?: number }).loss ?? []);
  }

  it("has the loss curve of cpu to 2e-5", async () => {
    const [theirs, ours] = [await losses("cpu"), await losses("wasm")];
    expect(theirs).toHaveLength(40);
    expect(ours).toHaveLength(40);
    const apart = ours.map((loss, step) => Math.abs(loss - (theirs[step] as number)) / (theirs[step] as number));
    expect(Math.max(...apart)).toBeLessThanOrEqual(2e-5);
  });
});
