// Commands in documents: every program, script, flag, key and file that one names must exist.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "@welltempered/config";
import { commandHelp } from "../../packages/cli/src/help-text.ts";
import { files, root } from "./documents.ts";

interface Manifest {
  name: string;
  packageManager: string;
  scripts: Record<string, string>;
}
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
const packageNames = files
  .filter((path) => /^packages\/[^/]+\/package\.json$/.test(path))
  .map((path) => (JSON.parse(readFileSync(join(root, path), "utf8")) as Manifest).name);

/** What is wrong with a block of commands, one sentence each. */
export function checkShell(code: string, folder: string): string[] {
  const lines = code.replaceAll("\\\n", " ").split("\n");
  const commands = lines.map((line) => line.replace(/(^|\s)#.*$/, "")).flatMap((line) => line.split(/&&|\||;/));
  return commands.flatMap((command) => checkCommand(wordsOf(command), folder));
}

const wordsOf = (command: string): string[] =>
  [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, plain]) => double ?? single ?? plain ?? "",
  );

function checkCommand([program, ...words]: string[], folder: string): string[] {
  if (program === undefined) return [];
  if (/^[A-Z_]+=/.test(program)) return checkCommand(words, folder);
  const check = programs[program];
  return check === undefined ? [`${program} is no command that documents use`] : check(words, folder);
}

type Check = (words: string[], folder: string) => string[];

const programs: Readonly<Record<string, Check>> = {
  npm: ([verb = "", ...rest]) => {
    if (verb === "install") return rest.flatMap(isPackage);
    return isScript(verb === "run" ? (rest[0] ?? "") : verb);
  },
  npx: ([program = "", ...rest], folder) => {
    if (program === "-y") return pnpm(rest);
    const check = tools[program];
    return check === undefined ? [`npx ${program}: no such tool here`] : check(rest, folder);
  },
  node: ([script = ""]) => isFile(script),
  cargo: ([verb = "", ...rest]) => {
    const crate = rest[rest.indexOf("-p") + 1];
    const known = ["test", "build", "clippy", "fmt", "check"].includes(verb);
    const named = rest.includes("-p") ? isFile(`crates/${crate}/Cargo.toml`) : [];
    return known ? named : [`cargo ${verb} is not used here`];
  },
  python: ([script = ""]) => (script === "-m" ? [] : isFile(script)),
  cd: ([path = ""]) => isFile(path),
  cp: ([from = ""]) => isFile(from),
  git: ([verb = ""]) => (["clone", "worktree", "add", "commit"].includes(verb) ? [] : [`git ${verb} is not used here`]),
};

const tools: Readonly<Record<string, Check>> = {
  temper: (words, folder) => temper(words, folder),
  nx: ([verb, project = ""]) => (verb === "test" ? isFile(`packages/${project}/package.json`) : [`nx ${verb}`]),
  vitest: ([verb, ...paths]) => [
    ...(verb === "run" ? [] : [`vitest ${verb}`]),
    ...paths.filter(isPath).flatMap(isFile),
  ],
  changeset: () => [],
  oxlint: (paths) => paths.filter(isPath).flatMap(isFile),
  oxfmt: (paths) => paths.filter(isPath).flatMap(isFile),
};

const isPath = (word: string): boolean => word.includes("/") && !word.startsWith("-");
const isFile = (path: string): string[] => (existsSync(join(root, path)) ? [] : [`there is no ${path}`]);
const isScript = (name: string): string[] => (name in manifest.scripts ? [] : [`package.json has no script ${name}`]);
const isPackage = (name: string): string[] =>
  name.startsWith("-") || packageNames.includes(name) ? [] : [`there is no package ${name}`];

function pnpm([program = "", verb = ""]: string[]): string[] {
  const known = ["install"].includes(verb) ? [] : [`pnpm ${verb} is not used here`];
  return program === manifest.packageManager ? known : [`${program} is not ${manifest.packageManager}`];
}

/** A temper command line, judged by the real configuration code. */
function temper([command = "", ...words]: string[], folder: string): string[] {
  const help = commandHelp[command];
  if (help === undefined) return [`temper has no command ${command}`];
  if (command === "train" || command === "plan" || command === "chat" || command === "export")
    return settings(command, words, folder);
  const flags = words.filter((word) => word.startsWith("--"));
  return flags.filter((flag) => !help.includes(flag)).map((flag) => `temper ${command} has no ${flag}`);
}

function settings(purpose: "train" | "plan" | "chat" | "export", words: string[], folder: string): string[] {
  const once = words.indexOf("--once");
  const rest = once < 0 ? words : words.toSpliced(once, 2);
  const located = rest.map((word) => (existsSync(join(root, word)) ? join(root, word) : join(folder, word)));
  const all = rest.map((word, index) => (/^[^=]*\.(ya?ml|json)$/.test(word) ? (located[index] as string) : word));
  try {
    loadConfig(all, purpose);
    return [];
  } catch (error) {
    return [`temper ${purpose}: ${(error as Error).message}`];
  }
}
