import type { DataFolder } from "../read/folder.ts";
import {
  type Columns,
  type DatasetEntry,
  DEFAULT_COLUMNS,
  DEFAULT_TAGS,
  type Formatting,
  type Tags,
} from "./attributes.ts";
import type { InfoObject } from "./info-file.ts";

const REMOTE_KEYS = ["hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name"];
const ENTRY_KEYS = [
  "file_name",
  "formatting",
  "ranking",
  "subset",
  "split",
  "folder",
  "num_samples",
  "columns",
  "tags",
];
const RANKING_KEYS = ["chosen", "rejected"] as const;
const COLUMN_KEYS = ["prompt", "query", "response", "history", "messages", "system", "tools", ...RANKING_KEYS] as const;
const MEDIA_COLUMNS = ["images", "videos", "audios"];
const TAG_KEYS = [
  "role_tag",
  "content_tag",
  "user_tag",
  "assistant_tag",
  "observation_tag",
  "function_tag",
  "system_tag",
];
const FORMATTINGS: readonly string[] = ["alpaca", "sharegpt", "openai"] satisfies Formatting[];

function refuseUnknownKeys(object: InfoObject, known: readonly string[]): void {
  const stranger = object.keys().find((key) => !known.includes(key));
  if (stranger !== undefined) throw object.error(stranger, "is not a known key", `known are ${known.join(", ")}`);
}

function refuseRemote(entry: InfoObject): void {
  for (const key of REMOTE_KEYS) {
    if (entry.has(key)) throw entry.error(key, "is not followed: nothing is downloaded or run", "give file_name");
  }
}

function checkFileName(entry: InfoObject, name: string): void {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(name)) throw entry.error("file_name", "is a URL", "give a file in dataset_dir");
  if (name.split(/[\\/]/).includes("..")) throw entry.error("file_name", 'holds ".."', "give a file in dataset_dir");
  if (name.includes("\0")) throw entry.error("file_name", "holds a NUL character", "give a file in dataset_dir");
  if (/\.py$/i.test(name))
    throw entry.error("file_name", "is a script, which is never run", "give a .json or .jsonl file");
}

function filesOf(entry: InfoObject, folder: DataFolder): string[] {
  const name = entry.string("file_name");
  if (name === undefined) throw entry.error("file_name", "is missing", "name a file in dataset_dir");
  checkFileName(entry, name);
  return folder.files(name);
}

function formattingOf(entry: InfoObject): Formatting {
  const formatting = entry.string("formatting") ?? "alpaca";
  if (FORMATTINGS.includes(formatting)) return formatting as Formatting;
  throw entry.error("formatting", "is not known", `give one of ${FORMATTINGS.join(", ")}`);
}

/** Once `columns` is present, an unlisted column is unset; it does not keep its default. */
function columnsOf(entry: InfoObject, ranking: boolean): Columns {
  const object = entry.child("columns");
  if (!object) return DEFAULT_COLUMNS;
  refuseUnknownKeys(object, [...COLUMN_KEYS, "kto_tag", ...MEDIA_COLUMNS]);
  for (const key of MEDIA_COLUMNS) {
    if (object.has(key)) throw object.error(key, "needs a multimodal model, which no stage trains", "remove it");
  }
  if (object.has("kto_tag")) throw object.error("kto_tag", "belongs to stage kto, which does not exist", "remove it");
  for (const key of RANKING_KEYS) {
    if (object.has(key) && !ranking) throw object.error(key, "needs ranking: true", "add it beside columns");
  }
  return Object.fromEntries(COLUMN_KEYS.flatMap((key) => (object.has(key) ? [[key, object.string(key)]] : [])));
}

/** Once `tags` is present, an unlisted tag is unset; the four that no conversation can do without must be listed. */
function tagsOf(entry: InfoObject): Tags {
  const object = entry.child("tags");
  if (!object) return DEFAULT_TAGS;
  refuseUnknownKeys(object, TAG_KEYS);
  const needed = (key: string): string => {
    const value = object.string(key);
    if (value === undefined)
      throw object.error(key, "is unset", "list it: once tags is given, defaults no longer hold");
    return value;
  };
  const optional = (name: "observation" | "function" | "system"): Partial<Tags> => {
    const value = object.string(`${name}_tag`);
    return value === undefined ? {} : { [name]: value };
  };
  return {
    role: needed("role_tag"),
    content: needed("content_tag"),
    user: needed("user_tag"),
    assistant: needed("assistant_tag"),
    ...optional("observation"),
    ...optional("function"),
    ...optional("system"),
  };
}

/** A stage that compares answers reads rankings and nothing else; the others read none. */
function rankingOf(entry: InfoObject, wanted: boolean): boolean {
  const ranking = entry.boolean("ranking");
  if (ranking && !wanted) throw entry.error("ranking", "is true", "use it with stage dpo, not sft or pt");
  if (!ranking && wanted) throw entry.error("ranking", "is not true", "stage dpo needs chosen and rejected answers");
  return ranking;
}

function checkColumns(entry: InfoObject, formatting: Formatting, columns: Columns, ranking: boolean): void {
  for (const key of ranking ? RANKING_KEYS : []) {
    if (columns[key] === undefined) throw entry.error("columns", `leaves ${key} unset`, `name the field of ${key}`);
  }
  const hint = "list it: once columns is given, defaults no longer hold";
  if (formatting === "alpaca") {
    if (!columns.prompt && !columns.query) throw entry.error("columns", "leaves prompt unset", hint);
  } else if (!columns.messages) throw entry.error("columns", "leaves messages unset", hint);
}

/** Checks one entry of `dataset_info.json` for a stage that wants rankings or none, and finds its files. */
export function parseEntry(entry: InfoObject, name: string, folder: DataFolder, wantsRanking: boolean): DatasetEntry {
  refuseRemote(entry);
  refuseUnknownKeys(entry, ENTRY_KEYS);
  const ranking = rankingOf(entry, wantsRanking);
  const split = entry.string("split");
  if (split !== undefined && split !== "train")
    throw entry.error("split", "names no split of a local file", "remove it");
  const formatting = formattingOf(entry);
  const columns = columnsOf(entry, ranking);
  const tags = tagsOf(entry);
  checkColumns(entry, formatting, columns, ranking);
  const numSamples = entry.count("num_samples");
  const files = filesOf(entry, folder);
  const thinkingNote = formatting === "openai";
  return {
    name,
    files,
    formatting,
    columns,
    tags,
    ranking,
    thinkingNote,
    ...(numSamples === undefined ? {} : { numSamples }),
  };
}
