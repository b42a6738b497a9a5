import { readFileSync, statSync } from "node:fs";
import { ConfigError } from "./errors.ts";

const maxBytes = 1 << 20;

/** Text of a configuration file. Throws ConfigError. */
export function readText(path: string): string {
  let bytes: Buffer;
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw new ConfigError("unreadable", path, "not a file", "give a .yaml, .yml or .json file");
    if (stat.size > maxBytes)
      throw new ConfigError("unreadable", path, `${stat.size} bytes is too large`, `stay below ${maxBytes} bytes`);
    bytes = readFileSync(path);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    const what = code === "ENOENT" ? "no such file" : `cannot be read (${code})`;
    throw new ConfigError("unreadable", path, what, "check the path of the configuration");
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError("syntax", path, "not UTF-8 text", "save the file as UTF-8");
  }
}
