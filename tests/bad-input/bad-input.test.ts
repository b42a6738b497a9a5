// Every bad input through the real command: the exit code, one line on standard error, nothing on standard output, and
// a folder in which nothing changed.
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { Box, inTurn, requireBuild } from "./box.ts";
import type { BadInput } from "./case.ts";
import { configCases } from "./config-cases.ts";
import { dataCases } from "./data-cases.ts";
import { ggufCases } from "./gguf-cases.ts";
import { modelCases } from "./model-cases.ts";

interface Verdict {
  name: string;
  base64: string;
  verdict: string;
}

const verdicts = JSON.parse(
  readFileSync(new URL("../../fixtures/safetensors/verdicts.json", import.meta.url), "utf8"),
) as { cases: Verdict[] };

/** The named headers of the reference's verdicts; the random ones are held against the parser alone, in formats. */
const named = verdicts.cases.filter(({ name }) => !name.startsWith("random"));
const headerCases: readonly BadInput[] = named.map(({ name, base64 }) => ({
  id: "B1",
  what: `safetensors: ${name}`,
  says: /model/,
  spoil: (box) => box.write("model/model.safetensors", Buffer.from(base64, "base64")),
}));

const starred = (
  "A1 A2 A3 A4 A5 A6 A7 B1 B2 B4 B5 B6 C1 C2 E1 E2 E3 E5 E9 " + "G1 G2 G3 G4 G5 G6 H2 H6 K1 L1 L2 L4 M1 M4"
).split(" ");

const cases = [...configCases, ...modelCases, ...headerCases, ...ggufCases, ...dataCases];
const table = cases.map((entry) => [`${entry.id} ${entry.what}`, entry] as const);

/** Generous: the rule holds on a quiet machine. */
const patience = Number(process.env["TEMPER_TEST_PATIENCE"] ?? 5);

beforeAll(requireBuild);

describe("bad input", () => {
  it("has a case for every starred line of the checklist that concerns this version", () => {
    const title = /"(?:%s )?([A-M]\d): |^ *\["([LM]\d)",/gm;
    const processes = readFileSync(new URL("process.test.ts", import.meta.url), "utf8").matchAll(title);
    const covered = new Set([...cases.map(({ id }) => id), ...[...processes].map(([, id, row]) => id ?? row)]);
    expect(starred.filter((id) => !covered.has(id))).toEqual([]);
  });

  it.concurrent.each(table)("%s", async (_title, entry) => {
    await inTurn(() => check(entry));
  });
});

async function check({
  spoil,
  args = ["train", "run.yaml"],
  env = {},
  exit = 2,
  within = 2000,
  says,
}: BadInput): Promise<void> {
  const box = new Box();
  try {
    spoil(box);
    const before = box.snapshot();
    const { code, stdout, stderr, milliseconds } = await box.run(args, env);
    expect({ code, stderr }).toEqual({ code: exit, stderr: expect.stringMatching(says) });
    expect(stderr).toMatch(/^error: [^\n]*;[^\n]*\n$/);
    expect(stderr.length - 1).toBeLessThanOrEqual(300);
    // oxlint-disable-next-line no-control-regex
    expect(stderr.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f]/);
    expect(stdout).toBe("");
    expect(box.snapshot()).toEqual(before);
    expect(milliseconds).toBeLessThan(within * patience);
  } finally {
    box.dispose();
  }
}
