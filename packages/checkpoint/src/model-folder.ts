// A Hugging Face model folder. Everything in it is hostile until checked: names of shards stay inside the folder, links
// may leave it only as the Hugging Face cache makes them, Python files and pickles are never looked into.
import { existsSync, readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { isJsonObject, type JsonObject, nameList, parseJsonObject, printable, UserError } from "@welltempered/formats";
import { shownPath } from "./input.ts";
import { ioError, readWhole } from "./io.ts";
import { openSafetensors } from "./open-safetensors.ts";
import type { WeightSource } from "./weight-source.ts";

const maxConfig = 10_000_000;
const maxIndex = 100_000_000;

const tokenizerNames = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "vocab.json",
  "merges.txt",
  "tokenizer.model",
] as const;

export interface ModelFolder {
  path: string;
  /** config.json, objects without a prototype. */
  config: JsonObject;
  generationConfig: JsonObject | undefined;
  /** Paths of the tokenizer's files that are there, by file name. */
  tokenizerFiles: ReadonlyMap<string, string>;
  weights: WeightSource;
}

/** Reads a model folder; throws a one-line UserError for anything missing, damaged or leading out of the folder. */
export function readModelFolder(path: string): ModelFolder {
  checkFolder(path);
  const config = readConfig(path);
  const generation = fileInside(path, "generation_config.json");
  const tokenizerFiles = new Map<string, string>();
  for (const name of tokenizerNames) {
    const file = fileInside(path, name);
    if (file) tokenizerFiles.set(name, file);
  }
  return {
    path,
    config,
    generationConfig: generation === undefined ? undefined : readJsonFile(generation),
    tokenizerFiles,
    weights: openWeights(path),
  };
}

/** Throws unless the path is a folder with something in it. */
export function checkFolder(path: string): void {
  let entries: string[];
  try {
    if (!statSync(path).isDirectory())
      throw new UserError(`${shownPath(path)}: is a file; give a model folder or a .gguf file`);
    entries = readdirSync(path);
  } catch (error) {
    throw ioError(error, path, "reading");
  }
  if (entries.length === 0)
    throw new UserError(`${shownPath(path)}: is an empty folder; give a model folder or a .gguf file`);
}

/** config.json of a model folder alone, without opening the weights. */
export function readConfig(path: string): JsonObject {
  const file = fileInside(path, "config.json");
  if (file) return readJsonFile(file);
  const isAdapter = existsSync(join(path, "adapter_config.json"));
  const hint = isAdapter ? "it is an adapter: give it as adapter_name_or_path" : "give a Hugging Face model folder";
  throw new UserError(`${shownPath(path)}: holds no config.json; ${hint}`);
}

/** A strict JSON object from a file of at most `maxBytes`. */
export function readJsonFile(path: string, maxBytes: number = maxConfig): JsonObject {
  return parseJsonObject(readWhole(path, maxBytes), { file: shownPath(path) });
}

/** Path of a file of the folder, links followed; undefined where there is none; throws where a link leads out. */
export function fileInside(folder: string, name: string): string | undefined {
  const path = join(folder, name);
  let target: string;
  try {
    target = realpathSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw ioError(error, path, "opening");
  }
  if (isAllowed(realpathSync(folder), target)) return path;
  throw new UserError(`${shownPath(path)}: is a symbolic link out of the model folder; copy the file into it`);
}

// The cache of huggingface_hub: models--a--b/snapshots/<revision>/file → models--a--b/blobs/<hash>.
function isAllowed(folder: string, target: string): boolean {
  if (target.startsWith(folder + sep)) return true;
  const snapshots = dirname(folder);
  const isCache = basename(snapshots) === "snapshots" && basename(dirname(snapshots)).startsWith("models--");
  return isCache && dirname(target) === join(dirname(snapshots), "blobs");
}

const single = "model.safetensors";
const index = "model.safetensors.index.json";

function openWeights(path: string): WeightSource {
  const file = fileInside(path, single);
  if (file) return openSafetensors(file);
  const indexFile = fileInside(path, index);
  if (indexFile) return openShards(path, indexFile);
  const pickles = readdirSync(path).filter((name) => /\.(bin|pt|pth|ckpt|pkl)$/i.test(name));
  const found =
    pickles.length > 0
      ? `only ${nameList(pickles, 2)}, and pickle is not read; convert to safetensors`
      : `no ${single} and no ${index}; give a folder with the weights`;
  throw new UserError(`${shownPath(path)}: holds ${found}`);
}

function openShards(folder: string, indexFile: string): WeightSource {
  const shown = shownPath(indexFile);
  const map = readJsonFile(indexFile, maxIndex)["weight_map"];
  if (!isJsonObject(map))
    throw new UserError(`${shown}:weight_map: is missing or not an object; fetch the index again`);
  const wanted = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(map)) wanted.set(tensor, shardName(shard, tensor, shown));
  const files = [...new Set(wanted.values())]
    .sort()
    .map((name) => fileInside(folder, name) ?? missingShard(shown, name));
  const source = openSafetensors(folder, files);
  try {
    compareWithIndex(source, wanted, shown);
  } catch (error) {
    source.close();
    throw error;
  }
  return source;
}

/** A shard is a plain file name: no separators, no drive, no control characters, not hidden. */
function shardName(value: unknown, tensor: string, shown: string): string {
  if (typeof value === "string" && /^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,200}\.safetensors$/.test(value)) return value;
  const text = typeof value === "string" ? value : typeof value;
  throw new UserError(
    `${shown}:weight_map: tensor ${nameList([tensor])} is said to be in "${printable(text, 60)}", not the name of a .safetensors file of this folder; correct the index`,
  );
}

function missingShard(shown: string, name: string): never {
  throw new UserError(`${shown}: names ${printable(name)}, which is not there; fetch the missing file`);
}

function compareWithIndex(source: WeightSource, wanted: ReadonlyMap<string, string>, shown: string): void {
  const absent = [...wanted.keys()].filter((name) => !source.has(name));
  const extra = source.names().filter((name) => !wanted.has(name));
  const moved = [...wanted]
    .filter(([name, shard]) => source.has(name) && basename(source.info(name).file) !== shard)
    .map(([name]) => name);
  for (const [names, what] of [
    [absent, "are in the index but in no shard"],
    [extra, "are in a shard but not in the index"],
    [moved, "are in another shard than the index says"],
  ] as const) {
    if (names.length > 0)
      throw new UserError(`${shown}: ${names.length} tensors ${what}: ${nameList(names)}; fetch the model again`);
  }
}
