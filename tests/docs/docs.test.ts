// Documents say what is so: their code compiles and runs, their commands, keys, links and paths exist.
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blocksOf, documents, files, followGuide, guides } from "./documents.ts";
import { moduleOf, printed, promised, Workplace } from "./examples.ts";
import { Overlay } from "./overlay.ts";
import { dependenciesOf, exportsOf, listedDependencies, listedExports } from "./package-readme.ts";
import { brokenLinks, brokenPaths, brokenTree } from "./references.ts";
import { missingFiles, refusal } from "./settings.ts";
import { checkShell } from "./shell.ts";

const place = new Workplace();
afterAll(() => place.dispose());

describe("TypeScript in documents", () => {
  const overlay = new Overlay();
  afterAll(() => overlay.dispose());
  const examples = blocksOf("ts").map((entry, index) => ({ ...entry, file: `tests/examples/example-${index}.ts` }));
  let errors: string[] = [];
  beforeAll(() => {
    for (const { block, file } of examples) overlay.write(file, moduleOf(block));
    errors = overlay.typecheck();
  });

  it.each(examples)("$name compiles", ({ file }) => {
    expect(errors.filter((error) => error.startsWith(file))).toEqual([]);
  });

  it.each(examples)("$name runs and prints what it says", async ({ block, file }) => {
    const lines = await printed(join(overlay.folder, file), place.folder);
    let at = 0;
    // In this order, with unannounced lines between them.
    for (const text of promised(block.code)) {
      expect(lines.slice(at)).toContain(text);
      at = lines.indexOf(text, at) + 1;
    }
  });
});

describe("guides", () => {
  // Where clippy has not run before, the first guide compiles everything that the crates need.
  it.each(guides)(
    "$path can be followed to the letter, and what comes out compiles",
    { timeout: 300_000 },
    ({ text, blocks }) => {
      const overlay = new Overlay();
      try {
        const touched = followGuide(text, overlay.folder);
        expect(touched.length).toBeGreaterThan(2);
        expect(overlay.typecheck()).toEqual([]);
        if (touched.some((file) => file.endsWith(".rs"))) expect(overlay.clippy()).toBe("");
      } finally {
        overlay.dispose();
      }
      const unnamed = blocks.filter(({ attributes: { file } }) => file !== undefined && !text.includes(`\`${file}\``));
      expect(unnamed, "every file is named in the text too").toEqual([]);
    },
  );
});

it("the guide to a new op counts its lines a backend", () => {
  const { text, blocks } = guides.find(({ path }) => path.endsWith("add-an-op.md")) as (typeof guides)[number];
  const code = (line: string): boolean => !/^\s*($|\/\/)/.test(line);
  const rows = [...text.matchAll(/^\| [^|]+ \| `(crates[^`]*)` \| (\d+) \|$/gm)];
  expect(rows.length).toBe(6);
  for (const [, folder, stated] of rows) {
    const own = blocks.filter(
      ({ attributes: { file } }) => file?.startsWith(`${folder}/`) && !file.includes("/tests/"),
    );
    const counted = own.flatMap((block) => block.code.split("\n").filter(code)).length;
    expect(`${folder} ${counted}`).toBe(`${folder} ${stated}`);
  }
});

describe("other code in documents", () => {
  it.each(blocksOf("yaml"))("$name is a configuration that is accepted", ({ block }) => {
    expect(refusal(block.code)).toBeUndefined();
  });

  it.each(blocksOf("json"))("$name is JSON", ({ block }) => {
    expect(() => JSON.parse(block.code)).not.toThrow();
  });

  it.each(blocksOf("sh"))("$name names commands, flags and files that exist", ({ block }) => {
    expect(checkShell(block.code, place.folder)).toEqual([]);
  });

  it.each(blocksOf(""))("$name draws the tree as it is", ({ block }) => {
    expect(brokenTree(block.code)).toEqual([]);
  });

  it("is of a language that is checked", () => {
    const checked = ["ts", "yaml", "json", "sh", ""];
    const others = documents.flatMap(({ path, blocks }) =>
      blocks
        .filter(({ language, attributes }) => !checked.includes(language) && attributes["file"] === undefined)
        .map(({ line, language }) => `${path}:${line} ${language}`),
    );
    expect(others).toEqual([]);
  });
});

describe("links and paths", () => {
  it.each(documents)("of $path lead somewhere", (document) => {
    expect({ links: brokenLinks(document), paths: brokenPaths(document) }).toEqual({ links: [], paths: [] });
  });

  it("every package and crate has a README", () => {
    const parts = files.filter((path) => /^(packages|crates)\/[^/]+\/(package\.json|Cargo\.toml)$/.test(path));
    const folders = parts.map((path) => path.replace(/\/[^/]+$/, ""));
    expect(folders.filter((folder) => !files.includes(`${folder}/README.md`))).toEqual([]);
  });
});

describe("the README of a package", () => {
  const readmes = documents.filter(({ path }) => path.startsWith("packages/"));

  it.each(readmes.filter(({ text }) => text.includes("| export |")))("$path lists exports that exist", (document) => {
    expect(listedExports(document).filter((name) => !exportsOf(dirname(document.path)).includes(name))).toEqual([]);
    expect(listedExports(document).length).toBeGreaterThan(2);
  });

  // The umbrella depends on all of them.
  it.each(readmes.filter(({ path }) => !path.includes("/welltempered/")))(
    "$path names its dependencies",
    (document) => {
      expect(document.text).toContain("Depends on ");
      expect(listedDependencies(document)).toEqual(dependenciesOf(dirname(document.path)));
    },
  );
});

describe("examples", () => {
  const recipes = files.filter((path) => /^(examples|tools)\/.*\.ya?ml$/.test(path));

  it.each(recipes)("%s is accepted and names files that exist", (path) => {
    expect(missingFiles(path)).toEqual([]);
  });
});
