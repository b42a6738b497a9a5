// One `*` a path segment is all the repository's scripts need (fs.globSync came with Node 22).
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib.mjs";

/** Existing paths, relative to the root and sorted, that match a pattern such as `packages/STAR/package.json` with a star. */
export function globSync(pattern) {
  const expand = (prefix, [head, ...rest]) => {
    if (head === undefined) return existsSync(join(root, prefix)) ? [prefix] : [];
    if (!head.includes("*")) return expand(join(prefix, head), rest);
    const wanted = new RegExp(`^${head.replaceAll(".", "\\.").replaceAll("*", ".*")}$`);
    const folder = join(root, prefix);
    const names = existsSync(folder)
      ? readdirSync(folder)
          .filter((name) => wanted.test(name))
          .sort()
      : [];
    return names.flatMap((name) => expand(join(prefix, name), rest));
  };
  return expand("", pattern.split("/"));
}
