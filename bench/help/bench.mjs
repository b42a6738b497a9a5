// How long `temper --help` takes, from start to exit.
import { spawnSync } from "node:child_process";
import { performance } from "node:perf_hooks";
import { summary } from "../lib/statistics.mjs";
import { temper } from "../lib/temper.mjs";

function timed(...args) {
  const started = performance.now();
  const { status } = spawnSync(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error(`bench: node ${args.join(" ")} exited with ${status}`);
  return performance.now() - started;
}

/** Beside it an empty program, for what Node alone takes. */
export function run({ rounds = "20" } = {}) {
  timed(temper, "--help");
  const [help, node] = [[], []];
  for (let round = 0; round < Number(rounds); round++) {
    help.push(timed(temper, "--help"));
    node.push(timed("-e", "0"));
  }
  const [ours, empty] = [summary(help), summary(node)];
  const text = ({ median, range }) => `${median.toFixed(0)} ms (${range.map((x) => x.toFixed(0)).join(" … ")})`;
  return {
    settings: { rounds: Number(rounds) },
    milliseconds: ours,
    nodeAloneMilliseconds: empty,
    table: [
      ["temper --help", text(ours)],
      ["node -e 0", text(empty)],
    ],
    goals: [{ what: "at most 250 ms", reached: ours.median <= 250 }],
  };
}
