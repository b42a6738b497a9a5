// npm run bench [name] [--option value …]: ours against the reference stack, figures on the terminal and in bench/results.
import { parseArgs } from "node:util";
import * as bf16 from "./bf16/bench.mjs";
import * as builds from "./builds/bench.mjs";
import * as decode from "./decode/bench.mjs";
import * as docker from "./docker/bench.mjs";
import * as help from "./help/bench.mjs";
import { machine } from "./lib/machine.mjs";
import { save, show } from "./lib/report.mjs";
import * as large from "./large/bench.mjs";
import * as llamafactory from "./llamafactory/bench.mjs";
import * as loraStep from "./lora-step/bench.mjs";
import * as plan from "./plan/bench.mjs";
import * as prefixes from "./prefixes/bench.mjs";
import * as qlora from "./qlora/bench.mjs";
import * as roof from "./roof/bench.mjs";
import * as shares from "./shares/bench.mjs";
import * as start from "./start/bench.mjs";
import * as wasm from "./wasm/bench.mjs";

const benches = {
  "lora-step": loraStep,
  bf16,
  decode,
  qlora,
  large,
  prefixes,
  shares,
  docker,
  llamafactory,
  start,
  plan,
  roof,
  wasm,
  builds,
  help,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    steps: { type: "string" },
    rounds: { type: "string" },
    settle: { type: "string" },
    threads: { type: "string" },
    shape: { type: "string" },
    dtype: { type: "string" },
    ours: { type: "string" },
    engine: { type: "string" },
    against: { type: "string" },
    out: { type: "string" },
  },
});

const unknown = positionals.find((name) => !Object.hasOwn(benches, name));
if (unknown !== undefined) {
  console.error(`bench: ${unknown} is not a bench; choose from ${Object.keys(benches).join(", ")}`);
  process.exit(2);
}

if (positionals.includes("builds") && values.against === undefined) {
  console.error("bench: builds wants --against, the library (.node, .so) of the other build");
  process.exit(2);
}

const all = Object.keys(benches).filter((name) => name !== "builds");
for (const name of positionals.length > 0 ? positionals : all) {
  const bench = benches[name];
  const report = { name, ...machine(), ...(await bench.run(values)) };
  show(report);
  console.log(`saved: ${save(report, values.out)}`);
}
