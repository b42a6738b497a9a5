import type { AlignedRow } from "../messages.ts";
import type { SourceRow } from "../read/rows.ts";
import type { DatasetEntry } from "../registry/attributes.ts";
import { convertAlpaca } from "./alpaca.ts";
import { Fields } from "./fields.ts";
import { convertOpenai } from "./openai.ts";
import { convertSharegpt } from "./sharegpt.ts";

/** A row as messages, by its dataset's layout; throws a DataError that names the row and the key. */
export function convertRow(source: SourceRow, entry: DatasetEntry, needsResponse: boolean): AlignedRow {
  const fields = new Fields(source.value, `${source.place}: row ${source.row + 1}`);
  switch (entry.formatting) {
    case "alpaca":
      return convertAlpaca(fields, entry, needsResponse);
    case "sharegpt":
      return convertSharegpt(fields, entry);
    case "openai":
      return convertOpenai(fields, entry);
    default:
      return entry.formatting satisfies never;
  }
}
