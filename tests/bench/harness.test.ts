import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const statistics = (await import(join(root, "bench/lib/statistics.mjs"))) as {
  summary(values: number[]): { median: number; quartiles: number[]; range: number[] };
  largestDifference(a: number[], b: number[]): number;
};

test("a summary has the median, the quartiles of numpy and the range", () => {
  // numpy.quantile([7, 1, 3, 10], [0.25, 0.5, 0.75]) = [2.5, 5, 7.75]
  const { median, quartiles, range } = statistics.summary([7, 1, 3, 10]);
  expect({ median, quartiles, range }).toEqual({ median: 5, quartiles: [2.5, 7.75], range: [1, 10] });
});

test("the largest difference is relative to the reference", () => {
  expect(statistics.largestDifference([1, 2.2], [1, 2])).toBeCloseTo(0.1, 12);
});

test("a bench saves where, with what and how often it measured", () => {
  const out = mkdtempSync(join(tmpdir(), "bench-"));
  try {
    const run = spawnSync(process.execPath, ["bench/run.mjs", "help", "--rounds", "2", "--out", out], {
      cwd: root,
      encoding: "utf8",
    });
    expect(run.stderr).toBe("");
    const [file] = readdirSync(out);
    const report = JSON.parse(readFileSync(join(out, file!), "utf8"));
    expect(file).toMatch(/^\d{4}-\d\d-\d\d-help-[a-z0-9-]+-(amx|avx512|avx2|portable)\.json$/);
    expect(report).toMatchObject({
      name: "help",
      commit: expect.stringMatching(/^[0-9a-f]{40}$/),
      node: process.version,
      cpu: { model: expect.any(String), instructions: expect.any(Array) },
      kernels: expect.stringContaining("threads"),
      settings: { rounds: 2 },
    });
    expect(report.milliseconds.values).toHaveLength(2);
  } finally {
    rmSync(out, { recursive: true });
  }
});

test("an unknown bench is refused by name", () => {
  const run = spawnSync(process.execPath, ["bench/run.mjs", "lora"], { cwd: root, encoding: "utf8" });
  expect(run.status).toBe(2);
  expect(run.stderr).toMatch(/^bench: lora is not a bench; choose from lora-step, .*, help\n$/);
});

test("a comparison of two builds asks for the other one", () => {
  const run = spawnSync(process.execPath, ["bench/run.mjs", "builds"], { cwd: root, encoding: "utf8" });
  expect(run.status).toBe(2);
  expect(run.stderr).toBe("bench: builds wants --against, the library (.node, .so) of the other build\n");
});
