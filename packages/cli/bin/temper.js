#!/usr/bin/env node
import { existsSync } from "node:fs";

const entry = new URL("../dist/index.js", import.meta.url);
if (existsSync(entry)) {
  const { main } = await import(entry.href);
  await main(process.argv.slice(2));
} else {
  process.stderr.write("error: temper is not built; run npm run setup\n");
  process.exitCode = 3;
}
