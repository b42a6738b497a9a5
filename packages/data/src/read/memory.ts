import { decodeUtf8 } from "@welltempered/formats";

import { DataError } from "../errors.ts";
import type { DataFolder } from "./folder.ts";

const INFO = "dataset_info.json";

/** A `dataset_dir` whose files are in memory, by name; `path` names it in messages. */
export function memoryFolder(files: ReadonlyMap<string, Uint8Array>, path: string): DataFolder {
  const place = (name: string): string => `${path}/${name}`;
  const known = (name: string): string[] => {
    if (files.has(name)) return [place(name)];
    throw new DataError("file", place(name), "no such file", `there are ${[...files.keys()].join(", ") || "none"}`);
  };
  return {
    infoPath: place(INFO),
    infoText: () => {
      const bytes = files.get(INFO);
      return bytes === undefined ? undefined : decodeUtf8(bytes, place(INFO));
    },
    files: known,
    filesNamed: known,
    *chunks(file) {
      const bytes = files.get(file.slice(path.length + 1));
      if (bytes === undefined || bytes.length === 0)
        throw new DataError("empty", file, "is empty", "give a file with at least one row");
      yield bytes;
    },
  };
}
