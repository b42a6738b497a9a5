import type { Fields } from "./fields.ts";
import { pythonJson } from "./python-json.ts";

/** Tool descriptions as JSON text: a string is kept, a list or object is written out, nothing gives "". */
export function toolsText(fields: Fields, key: string | undefined): string {
  if (key === undefined) return "";
  const value = fields.value(key);
  if (value === null) return "";
  return typeof value === "object" ? pythonJson(value) : fields.text(key);
}
