// node tools/guide.mjs docs/guides/<guide>.md [folder]: makes every edit that the guide's code blocks describe, in a
// checkout. A block says where it goes after its language: `file=<path>` alone is a new file; with `after="<text>"`,
// `before="<text>"` or `replace="<text>"` it goes next to, or in place of, the lines that hold the text (`\n` in it is a
// line break), which must stand there once. `file=<path> copy=<path>` is a copy with the renames that the block lists.
// tests/docs follows every guide with it, so that none can rot.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Fenced blocks of a Markdown text: language, attributes of the info string, code, line of the opening fence. */
export function codeBlocks(text) {
  const blocks = [];
  let open;
  for (const [index, line] of text.split("\n").entries()) {
    const fence = /^(`{3,})\s*(.*)$/.exec(line);
    if (open === undefined && fence !== null) {
      const [, marks, info] = fence;
      open = { marks, line: index + 1, language: info.split(/\s/)[0] ?? "", attributes: attributesOf(info), lines: [] };
    } else if (open !== undefined && line === open.marks) {
      const { marks: _, lines, ...block } = open;
      blocks.push({ ...block, code: lines.map((each) => `${each}\n`).join("") });
      open = undefined;
    } else open?.lines.push(line);
  }
  if (open !== undefined) throw new Error(`line ${open.line}: the code block does not end`);
  return blocks;
}

function attributesOf(info) {
  const pairs = info.matchAll(/(\w+)=(?:"([^"]*)"|'([^']*)'|(\S+))/g);
  return Object.fromEntries([...pairs].map(([, key, double, single, plain]) => [key, double ?? single ?? plain]));
}

const positions = ["after", "before", "replace"];

/** Makes one edit in a folder. Throws a sentence where the block does not fit the file. */
export function applyBlock({ attributes, code, line }, folder) {
  const { file } = attributes;
  const path = join(folder, file);
  const position = positions.find((name) => name in attributes);
  if (position === undefined) {
    if (existsSync(path)) throw new Error(`line ${line}: ${file} exists already; say where the block goes in it`);
    mkdirSync(dirname(path), { recursive: true });
    const text =
      attributes.copy === undefined ? code : renamed(readFileSync(join(folder, attributes.copy), "utf8"), code);
    return writeFileSync(path, text);
  }
  if (!existsSync(path)) throw new Error(`line ${line}: there is no ${file}`);
  const text = readFileSync(path, "utf8");
  const anchor = attributes[position].replaceAll("\\n", "\n");
  const count = text.split(anchor).length - 1;
  if (count !== 1) throw new Error(`line ${line}: ${file} contains ${JSON.stringify(anchor)} ${count} times, not once`);
  writeFileSync(path, edited(text, text.indexOf(anchor), anchor.length, position, code));
}

/** A copy in which each line `a → b` of `renames` was followed. */
function renamed(text, renames) {
  const pairs = renames
    .trim()
    .split("\n")
    .map((line) => line.split(" → "));
  return pairs.reduce((result, [from, to]) => result.replaceAll(from, to), text);
}

/** The text with whole lines put before, after or in place of those that hold the anchor. */
function edited(text, at, length, position, code) {
  const start = text.lastIndexOf("\n", at) + 1;
  const end = text.indexOf("\n", at + length) + 1 || text.length;
  const keep = position === "replace" ? "" : text.slice(start, end);
  return `${text.slice(0, start)}${position === "after" ? keep + code : code + keep}${text.slice(end)}`;
}

/** Follows a guide in a folder; returns the files it touched. */
export function followGuide(text, folder) {
  const edits = codeBlocks(text).filter(({ attributes }) => attributes.file !== undefined);
  for (const edit of edits) applyBlock(edit, folder);
  return [...new Set(edits.map(({ attributes }) => attributes.file))];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , guide, folder = "."] = process.argv;
  try {
    for (const file of followGuide(readFileSync(guide, "utf8"), folder)) console.log(file);
  } catch (error) {
    console.error(`error: ${guide}: ${error.message}`);
    process.exit(2);
  }
}
