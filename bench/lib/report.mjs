import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../tools/lib.mjs";
import { cpuName } from "./machine.mjs";

/** Writes `<date>-<name>-<cpu>.json`; returns its path. */
export function save(report, folder = join(root, "bench/results")) {
  const variant = report.variant === undefined ? "" : `-${report.variant}`;
  const path = join(folder, `${report.date.slice(0, 10)}-${report.name}${variant}-${cpuName(report.cpu)}.json`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, `${JSON.stringify(report, undefined, 2)}\n`);
  return path;
}

export function show({ name, cpu, commit, uncommittedChanges, kernels, table, goals }) {
  console.log(`\n${name}: ${cpu.model} ${cpu.core ?? ""}, ${cpu.cores} cores, ${kernels}`);
  console.log(`commit ${commit.slice(0, 12)}${uncommittedChanges ? " with uncommitted changes" : ""}`);
  const width = Math.max(...table.map(([what]) => what.length));
  for (const [what, value] of table) console.log(`  ${what.padEnd(width)}  ${value}`);
  for (const { what, reached } of goals) console.log(`  ${reached ? "reached" : "MISSED "}  ${what}`);
}

export const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(2)} GB`;

/** A summary as median and range. */
export const figure = ({ median, range }, digits) =>
  `${median.toFixed(digits)} (${range.map((x) => x.toFixed(digits)).join(" … ")})`;
