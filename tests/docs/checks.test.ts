// The checks of the documents can fail: each is shown something wrong.
import { writeFileSync, mkdtempSync, rmSync, mkdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { codeBlocks, followGuide } from "./documents.ts";
import { moduleOf, printed, promised } from "./examples.ts";
import { Overlay } from "./overlay.ts";
import { brokenLinks, brokenPaths, brokenTree } from "./references.ts";
import { refusal } from "./settings.ts";
import { checkShell } from "./shell.ts";

const folder = mkdtempSync(join(tmpdir(), "welltempered-checks-"));
afterAll(() => rmSync(folder, { recursive: true }));
const document = (text: string) => ({ path: "docs/x.md", text, blocks: codeBlocks(text) });

describe("a check", () => {
  it("finds a type error in an example, and a wrong answer in its comment", async () => {
    const [block] = codeBlocks('```ts\nconst x: number = "1";\nconsole.log(x + 1); // 2\n```\n');
    const overlay = new Overlay();
    try {
      overlay.write("tests/examples/broken.ts", moduleOf(block!));
      expect(overlay.typecheck()).toEqual([expect.stringMatching(/^tests\/examples\/broken\.ts\(1,7\): error TS2322/)]);
      expect(promised(block!.code)).toEqual(["2"]);
      expect(await printed(join(overlay.folder, "tests/examples/broken.ts"), folder)).toEqual(["11"]);
    } finally {
      overlay.dispose();
    }
  });

  it.each([
    ["npm run tets", /no script tets/],
    ["npm install @welltempered/nothing", /no package/],
    ["npx temper tran x.yaml", /no command tran/],
    ["npx temper train examples/nothing.yaml", /no such file/],
    ["npx temper train examples/docker-demo.yaml lora_rnak=8", /lora_rnak/],
    ["npx temper demo --model tiny --fast", /has no --fast/],
    ["npx vitest run packages/nothing", /packages\/nothing/],
    ["npx -y pnpm@9 install", /pnpm@9/],
    ["node tools/nothing.mjs", /tools\/nothing\.mjs/],
    ["cargo test -p nothing", /crates\/nothing/],
    ["sudo rm x", /sudo/],
  ])("finds what is wrong with %s", (command, says) => {
    expect(checkShell(`${command}   # a comment\n`, folder)).toEqual([expect.stringMatching(says)]);
  });

  it("accepts good commands", () => {
    const good = "CI=true npm test && npx nx test data\nnpx temper train examples/docker-demo.yaml lora_rank=4 # so\n";
    expect(checkShell(good, folder)).toEqual([]);
  });

  it("finds a key that does not exist, and accepts a fragment", () => {
    expect(refusal("lora_rnak: 8\n")).toMatch(/block\.yaml:1:1: .*lora_rank/);
    expect(refusal("lora_rank: 8\n")).toBeUndefined();
  });

  it("finds links, paths and names of the tree that lead nowhere, but not those in code blocks", () => {
    const text =
      "[a](gone.md) [b](../README.md) `tools/gone.mjs` `tools/lib.mjs` `packages/<p>/src/index.ts` `gone.ts`\n";
    expect(brokenLinks(document(text))).toEqual(["gone.md"]);
    expect(brokenPaths(document(`${text}\n\`\`\`sh\n\`tools/other.mjs\`\n\`\`\`\n`))).toEqual([
      "tools/gone.mjs",
      "gone.ts",
    ]);
    expect(brokenTree("packages/\n  tensor/   ops\n  gone/     x\ntools/\n")).toEqual(["packages/gone"]);
  });
});

describe("following a guide", () => {
  const fence = "```";
  const step = (info: string, code: string): string => `${fence}ts ${info}\n${code}\n${fence}\n`;
  mkdirSync(join(folder, "src"));

  it("makes new files and puts lines before, after and in place of one line", () => {
    writeFileSync(join(folder, "src/old.ts"), "one\ntwo\nthree\n");
    const guide = [
      step("file=src/new.ts", "fresh"),
      step('file=src/old.ts before="one"', "zero"),
      step('file=src/old.ts after="two"', "two and a half"),
      step("file=src/old.ts replace='half\\nthree'", "3"),
    ].join("and then\n");
    expect(followGuide(guide, folder)).toEqual(["src/new.ts", "src/old.ts"]);
    expect(followGuide(step("file=src/copy.ts copy=src/new.ts", "fresh → new\nw → v"), folder)).toEqual([
      "src/copy.ts",
    ]);
    expect(readFileSync(join(folder, "src/copy.ts"), "utf8")).toBe("nev\n");
    expect(readFileSync(join(folder, "src/old.ts"), "utf8")).toBe("zero\none\ntwo\n3\n");
  });

  it.each([
    ["file=src/new.ts", /exists already/],
    ['file=src/gone.ts after="x"', /there is no src\/gone\.ts/],
    ['file=src/old.ts after="four"', /contains "four" 0 times/],
    ['file=src/old.ts after="o"', /contains "o" \d times, not once/],
  ])("fails at %s", (info, says) => {
    expect(() => followGuide(step(info, "x"), folder)).toThrow(says);
  });
});
