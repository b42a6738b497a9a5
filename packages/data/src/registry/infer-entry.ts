import { isJsonObject, type JsonObject, type JsonValue } from "@welltempered/formats";

import { DataError, quote } from "../errors.ts";
import type { DataFolder } from "../read/folder.ts";
import { rowsOf } from "../read/rows.ts";
import { type Columns, type DatasetEntry, DEFAULT_COLUMNS, DEFAULT_TAGS, OPENAI_TAGS } from "./attributes.ts";

type Layout = Pick<DatasetEntry, "formatting" | "columns" | "tags">;

function firstMessage(value: JsonValue | undefined): JsonObject | undefined {
  const first = Array.isArray(value) ? value[0] : undefined;
  return isJsonObject(first) ? first : undefined;
}

function listed(row: JsonObject, names: Columns): Columns {
  return Object.fromEntries(Object.entries(names).filter(([, field]) => field in row));
}

function messagesLayout(row: JsonObject): Layout | undefined {
  for (const messages of ["messages", "conversations"]) {
    const message = firstMessage(row[messages]);
    const columns = { messages, ...listed(row, { system: "system", tools: "tools" }) };
    if (message && "role" in message) return { formatting: "openai", columns, tags: OPENAI_TAGS };
    if (message && "from" in message) return { formatting: "sharegpt", columns, tags: DEFAULT_TAGS };
  }
  return undefined;
}

function alpacaLayout(row: JsonObject): Layout | undefined {
  const optional = listed(row, { history: "history", system: "system", tools: "tools" });
  const layout = (columns: Columns): Layout => ({
    formatting: "alpaca",
    columns,
    tags: DEFAULT_TAGS,
  });
  if ("instruction" in row) return layout({ ...DEFAULT_COLUMNS, ...optional });
  const response = "response" in row ? "response" : "completion";
  if ("prompt" in row) return layout({ prompt: "prompt", response, ...optional });
  return "text" in row ? layout({ prompt: "text" }) : undefined;
}

/** The fields of a ranking; throws where the first row has none. */
function rankingColumns(row: JsonObject, place: string): Columns {
  const missing = ["chosen", "rejected"].find((key) => !(key in row));
  if (missing === undefined) return { chosen: "chosen", rejected: "rejected" };
  throw new DataError("row", place, `${quote(missing)} is missing`, "stage dpo needs chosen and rejected answers");
}

/** Reads the layout of a file named directly, without `dataset_info.json`, off its first row. */
export function inferEntry(path: string, folder: DataFolder, ranking: boolean): DatasetEntry {
  const files = folder.filesNamed(path);
  const name = files[0] ?? path;
  for (const { value, place } of rowsOf(folder.chunks(name), name)) {
    const layout = messagesLayout(value) ?? alpacaLayout(value);
    if (layout) {
      const columns = ranking ? { ...layout.columns, ...rankingColumns(value, place) } : layout.columns;
      return { name: path, files, ranking, thinkingNote: false, ...layout, columns };
    }
    throw new DataError(
      "row",
      place,
      "has none of the keys messages, conversations, instruction, prompt, text",
      "describe the file in dataset_info.json",
    );
  }
  throw new DataError("empty", path, "holds no rows", "give a file with at least one row");
}
