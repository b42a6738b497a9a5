import { FormatsError, isJsonObject, type JsonObject, parseJson } from "@welltempered/formats";

import { DataError, kindOf } from "../errors.ts";
import { type RowText, splitRows } from "./split-rows.ts";

const MAX_DEPTH = 128;

/** One parsed row; `place` is `file:line`, `row` its number in the file from 0. */
export interface SourceRow {
  value: JsonObject;
  place: string;
  row: number;
}

/** Takes an unusable row instead of letting it end the run. */
export type BadRowHandler = (error: DataError | FormatsError) => void;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decode(text: RowText, place: string): string {
  try {
    return decoder.decode(text.bytes);
  } catch {
    throw new DataError("syntax", place, "is not UTF-8 text", "save the file as UTF-8");
  }
}

function parseRow(text: RowText, file: string): JsonObject | undefined {
  const place = `${file}:${text.line}`;
  const source = decode(text, place);
  if (source.trim() === "") return undefined;
  const value = parseJson(source, { file, line: text.line, maxDepth: MAX_DEPTH });
  if (isJsonObject(value)) return value;
  throw new DataError("row", place, `the row is ${kindOf(value)}, not an object`, "give one object a row");
}

/** Whether only the row is at fault, so that the rest of the file can still be used. */
export function isBadRow(error: unknown): error is DataError | FormatsError {
  if (error instanceof FormatsError) return error.code === "JSON";
  return error instanceof DataError && (error.code === "row" || error.code === "syntax");
}

/** Rows of a `.json` (array, or one object a line) or `.jsonl` file, read as a stream; bad ones throw or go to `onBadRow`. */
export function* rowsOf(chunks: Generator<Uint8Array>, path: string, onBadRow?: BadRowHandler): Generator<SourceRow> {
  let row = 0;
  for (const text of splitRows(chunks, path)) {
    try {
      const value = parseRow(text, path);
      if (value === undefined) continue;
      yield { value, place: `${path}:${text.line}`, row };
    } catch (error) {
      if (!onBadRow || !isBadRow(error)) throw error;
      onBadRow(error);
    }
    row++;
  }
}
