// Links and paths in documents: what they lead to must be there.
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { files, root, type Document } from "./documents.ts";

/** Text without code blocks. */
function prose({ text }: Document): string {
  return text.replace(/^(`{3,})[^\n]*\n[\s\S]*?^\1$/gm, "");
}

/** Relative links that lead nowhere. */
export function brokenLinks(document: Document): string[] {
  const targets = [...prose(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target as string);
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => target.replace(/#.*$/, ""))
    .filter((target) => target !== "" && !existsSync(join(root, dirname(document.path), target)));
}

const folders = new Set(files.flatMap((path) => ancestors(path)));

function ancestors(path: string): string[] {
  const parent = dirname(path);
  return parent === "." ? [] : [parent, ...ancestors(parent)];
}

/** Inline code that looks like a path of the repository: with a known top folder, or a file of source. */
const looksLikePath = (code: string): boolean =>
  /^(packages|crates|tools|tests|docs|examples|fixtures|bench|src)\/\S*$/.test(code) ||
  /^[\w./-]+\.(ts|mjs|rs|py|md)$/.test(code);

/** Paths in inline code that name nothing, and that no block of the document makes. `*` stands for anything but a slash, `<name>` for one name. */
export function brokenPaths(document: Document): string[] {
  const codes = [...prose(document).matchAll(/`([^`\n]+)`/g)].map(([, code]) => code as string);
  const made = document.blocks.map(({ attributes }) => attributes["file"]);
  const wanted = codes.filter((code) => looksLikePath(code) && !made.includes(code));
  return wanted.filter((code) => !exists(code, dirname(document.path)));
}

function exists(code: string, folder: string): boolean {
  const path = normalize(code).replace(/\/$/, "");
  const own = folder === "." ? path : `${folder}/${path}`;
  if ([path, own].some((each) => files.includes(each) || folders.has(each))) return true;
  const star = path
    .replaceAll(/[.+()[\]{}]/g, "\\$&")
    .replaceAll("*", "[^/]*")
    .replaceAll(/<\w+>/g, "[^/]+");
  const pattern = new RegExp(`(^|/)${star}$`);
  return [...files, ...folders].some((each) => pattern.test(each));
}

/** Names in a drawing of the tree (two spaces a level, a comment after two spaces) that do not exist. */
export function brokenTree(code: string): string[] {
  const path: string[] = [];
  return code.split("\n").flatMap((line) => {
    const match = /^( *)(\S+)/.exec(line);
    if (match === null) return [];
    const [, indent = "", name = ""] = match;
    path.length = indent.length / 2;
    path.push(name.replace(/\/$/, ""));
    const whole = path.join("/");
    return files.includes(whole) || folders.has(whole) ? [] : [whole];
  });
}
