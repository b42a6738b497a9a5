// Greedy generation with SmolLM2-135M: ours in every form of the weights and transformers' `generate` in turn, on the same
// prompts.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fetchSmolLM2 } from "../../tools/fetch-smollm2.mjs";
import { hashFiles, root } from "../../tools/lib.mjs";
import { pythonEnvironment } from "../../tools/python/setup.mjs";
import { Child } from "../lib/child.mjs";
import { gigabytes } from "../lib/report.mjs";
import { roof as probed } from "../lib/roof.mjs";
import { summary } from "../lib/statistics.mjs";
import { command } from "../lib/temper.mjs";

const here = "bench/decode";
const offline = { HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false" };
const batches = [1, 16];
const promptLength = 64;
const newTokens = 64;
const dtypes = ["float32", "bfloat16"];
/** A dtype of transformers that takes so many times as long as f32 for the first tokens is not timed: the CPU has no instructions for it. */
const hopeless = 3;
const firstTokens = 4;

/** Model folders and prompts, made once. */
function inputs(python, gguf) {
  const script = `${here}/make_inputs.py`;
  const folder = join(root, ".cache/bench", `decode-${hashFiles([join(root, script)]).slice(0, 12)}`);
  if (existsSync(join(folder, "prompts.json"))) return folder;
  mkdirSync(folder, { recursive: true });
  const words = [script, gguf, folder, String(Math.max(...batches)), String(promptLength)];
  command(python, words, { env: offline });
  return folder;
}

function start(python, gguf, folder, threads) {
  const prompts = join(folder, "prompts.json");
  const ours = (path, ...how) => new Child(process.execPath, [`${here}/ours.mjs`, path, prompts, threads, ...how]);
  const reference = (dtype) =>
    new Child(python, [`${here}/reference.py`, join(folder, dtype), prompts, threads, dtype], {
      ...offline,
      OMP_NUM_THREADS: threads,
    });
  return {
    "ours f32": ours(join(folder, "float32"), "f32"),
    "ours bf16": ours(join(folder, "bfloat16"), "bf16"),
    "ours nf4": ours(join(folder, "float32"), "f32", "nf4"),
    "ours q4_1": ours(gguf, "f32"),
    "transformers float32": reference("float32"),
    "transformers bfloat16": reference("bfloat16"),
    "llama.cpp q4_1": new Child(pythonEnvironment("llamacpp"), [`${here}/llama_cpp.py`, gguf, prompts, threads]),
  };
}

/** Where a dtype of transformers cannot be its best: [{ name, batch, seconds, float32 }], seconds for the first tokens. */
async function hopelessSides(sides) {
  const found = [];
  for (const batch of batches) {
    const ask = async (dtype) => (await sides[`transformers ${dtype}`].ask({ batch, tokens: firstTokens })).seconds;
    const float32 = await ask("float32");
    const seconds = await ask("bfloat16");
    if (seconds > hopeless * float32) found.push({ name: "transformers bfloat16", batch, seconds, float32 });
  }
  return found;
}

/** Each round asks every side once for one token, which is the prompt's pass, and once for all, at each batch size. */
async function measure(sides, rounds, leftOut) {
  const asked = (name, batch) => !leftOut.some((side) => side.name === name && side.batch === batch);
  const answers = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const batch of batches)
      for (const [name, side] of Object.entries(sides).filter(([name]) => asked(name, batch))) {
        const first = await side.ask({ batch, tokens: 1 });
        const all = await side.ask({ batch, tokens: newTokens });
        // The first round warms up.
        if (round > 0) answers[name].push({ batch, first: first.seconds, all: all.seconds, tokens: all.tokens });
      }
  }
  return answers;
}

function figures(answers, batch) {
  const own = answers.filter((answer) => answer.batch === batch);
  if (own.length === 0) return undefined;
  return {
    tokensPerSecond: summary(own.map(({ all }) => (batch * newTokens) / all)),
    decodeTokensPerSecond: summary(own.map(({ all, first }) => (batch * (newTokens - 1)) / (all - first))),
    prefillTokensPerSecond: summary(own.map(({ first }) => (batch * promptLength) / first)),
  };
}

const share = (a, b) => {
  const pairs = a.flatMap((row, at) => row.map((token, index) => token === b[at][index]));
  return pairs.filter(Boolean).length / pairs.length;
};

/** `generate` at batch 1 and 16, prompts of 64 tokens, 64 new ones. */
export async function run({ rounds = "3", threads = "2" } = {}) {
  const python = pythonEnvironment();
  const gguf = await fetchSmolLM2();
  const folder = inputs(python, gguf);
  const roof = (await probed(Number(threads))).read;
  const sides = start(python, gguf, folder, threads);
  const told = {};
  for (const [name, side] of Object.entries(sides)) told[name] = await side.answer();
  const leftOut = await hopelessSides(sides);
  const answers = await measure(sides, Number(rounds), leftOut);
  const peak = Object.fromEntries(Object.entries(sides).map(([name, side]) => [name, side.peakMemory()]));
  await Promise.all(Object.values(sides).map((side) => side.close()));
  return describe({ answers, leftOut, peak, told, roof, threads, rounds });
}

function describe({ answers, leftOut, peak, told, roof, threads, rounds }) {
  const results = Object.fromEntries(
    Object.entries(answers).map(([name, own]) => [
      name,
      {
        peakMemoryBytes: peak[name],
        ...Object.fromEntries(batches.map((batch) => [`batch${batch}`, figures(own, batch)])),
      },
    ]),
  );
  const speed = (name, batch) => results[name][`batch${batch}`]?.tokensPerSecond.median ?? 0;
  const best = (batch) => Math.max(...dtypes.map((dtype) => speed(`transformers ${dtype}`, batch)));
  const ratios = (name, batch) => {
    const counterpart = name === "ours bf16" ? "transformers bfloat16" : "transformers float32";
    const timed = results[counterpart][`batch${batch}`] !== undefined;
    return {
      ...(timed ? { sameDtype: speed(name, batch) / speed(counterpart, batch) } : {}),
      best: speed(name, batch) / best(batch),
    };
  };
  const toLlama = Object.fromEntries(
    batches.map((batch) => [`batch${batch}`, speed("ours q4_1", batch) / speed("llama.cpp q4_1", batch)]),
  );
  const tokens = (name) => answers[name].find(({ batch }) => batch === Math.max(...batches)).tokens;
  const equal = share(tokens("ours f32"), tokens("transformers float32"));
  const ofRoof = Object.fromEntries(
    Object.keys(told)
      .filter((name) => name.startsWith("ours"))
      .map((name) => {
        const steps = results[name].batch1.decodeTokensPerSecond.median;
        return [name, (steps * told[name].weightBytes) / (roof * 1e9)];
      }),
  );
  const line = (name, batch) => {
    const slow = leftOut.find((side) => side.name === name && side.batch === batch);
    if (slow !== undefined) {
      const [own, float32] = [slow.seconds, slow.float32].map((seconds) => seconds.toFixed(1));
      return [`${name}, batch ${batch}`, `not timed: ${own} s for the first ${firstTokens} tokens, f32 ${float32} s`];
    }
    const { tokensPerSecond, decodeTokensPerSecond, prefillTokensPerSecond } = results[name][`batch${batch}`];
    const { sameDtype, best: ofBest } = ratios(name, batch);
    const compared = name.startsWith("ours")
      ? `;${sameDtype === undefined ? "" : ` ${sameDtype.toFixed(2)} × its dtype,`} ${ofBest.toFixed(2)} × the best of transformers`
      : "";
    const rates = [tokensPerSecond, decodeTokensPerSecond, prefillTokensPerSecond].map(({ median }) =>
      median.toFixed(0),
    );
    return [`${name}, batch ${batch}`, `${rates.join(" / ")}${compared}`];
  };
  const bestOurs = (batch) =>
    Math.max(
      ...Object.keys(told)
        .filter((name) => name.startsWith("ours"))
        .map((name) => ratios(name, batch).best),
    );
  return {
    settings: {
      model: "SmolLM2-135M-Instruct",
      promptLength,
      newTokens,
      batches,
      threads: Number(threads),
      rounds: Number(rounds),
    },
    versions: { ...told["transformers float32"].versions, ...told["llama.cpp q4_1"].versions },
    readGigabytesPerSecond: roof,
    notTimed: leftOut,
    results,
    ratios: Object.fromEntries(
      Object.keys(told)
        .filter((name) => name.startsWith("ours"))
        .map((name) => [name, Object.fromEntries(batches.map((batch) => [`batch${batch}`, ratios(name, batch)]))]),
    ),
    ratioToLlamaCpp: toLlama,
    shareOfBandwidthBatch1: ofRoof,
    shareOfEqualTokens: equal,
    table: [
      ["new tokens/s of the call / of decoding / tokens/s of the prompt", ""],
      ...batches.flatMap((batch) => Object.keys(told).map((name) => line(name, batch))),
      [
        `share of the ${roof.toFixed(1)} GB/s, batch 1`,
        Object.entries(ofRoof)
          .map(([name, part]) => `${name.slice(5)} ${part.toFixed(2)}`)
          .join(", "),
      ],
      [
        "ours from Q4_1, against llama.cpp's",
        Object.values(toLlama)
          .map((ratio) => `${ratio.toFixed(2)} ×`)
          .join(", "),
      ],
      ["equal greedy tokens in f32, batch 16", equal.toFixed(4)],
      [
        "peak memory",
        Object.entries(peak)
          .map(([name, bytes]) => `${name} ${gigabytes(bytes)}`)
          .join(", "),
      ],
    ],
    goals: [
      { what: "the same greedy tokens as transformers in f32 (0.98 of them)", reached: equal >= 0.98 },
      ...batches.flatMap((batch) => [
        {
          what: `at least 2 × transformers' best dtype at batch ${batch} (ours at its best)`,
          reached: bestOurs(batch) >= 2,
        },
        {
          what: `at least 2 × transformers f32 at batch ${batch}, ours in f32`,
          reached: ratios("ours f32", batch).sameDtype >= 2,
        },
      ]),
    ],
  };
}
