// What a package's README says about the package.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, type Document } from "./documents.ts";

/** Names in the first column of the table of exports. */
export function listedExports({ text }: Document): string[] {
  const [, table = ""] = text.split("| export | |\n|---|---|\n");
  const rows = table.split("\n\n")[0]?.split("\n") ?? [];
  const cells = rows.map((row) => row.split("|")[1] ?? "").filter((cell) => !cell.includes("(`/"));
  return cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name as string));
}

/** Names that the package's index exports, types included, and the files whose every name it hands on. */
export function exportsOf(folder: string, file = "index.ts"): string[] {
  const index = readFileSync(join(root, folder, "src", file), "utf8");
  const names = [...index.matchAll(/\b(\w+)\b(?=\s*[,}])/g)].map(([, name]) => name as string);
  const whole = [...index.matchAll(/export \* from "\.\/(.+)"/g)].flatMap(([, name = ""]) => exportsOf(folder, name));
  return [...names, ...whole];
}

/** Packages of this repository that the README says the package depends on. */
export function listedDependencies({ text }: Document): string[] {
  const [, sentence = ""] = /Depends on ([^.]*)\./s.exec(text) ?? [];
  return [...sentence.matchAll(/`(@welltempered\/[\w-]+)`/g)].map(([, name]) => name as string).sort();
}

export function dependenciesOf(folder: string): string[] {
  const manifest = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as Record<string, object>;
  const names = Object.keys(manifest["dependencies"] ?? {});
  return names.filter((name) => name.startsWith("@welltempered/")).sort();
}
