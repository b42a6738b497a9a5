import { isJsonObject, type JsonValue, pythonFloat } from "@welltempered/formats";

/** Text as Python's `json.dumps(value, ensure_ascii=False)` writes it: ", " and ": " between items, non-ASCII kept. */
export function pythonJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  if (isJsonObject(value)) {
    const items = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${pythonJson(item)}`);
    return `{${items.join(", ")}}`;
  }
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : pythonFloat(value);
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
