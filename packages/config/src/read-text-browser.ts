import { ConfigError } from "./errors.ts";

/** What `read-text.ts` is in a browser. */
export function readText(path: string): string {
  throw new ConfigError("unreadable", path, "there are no files in a browser", "hand over its text or settings");
}
