// Matrix products of ours and of torch in turn, and what the CPU can do at most, probed before each of them.
import { pythonEnvironment } from "../../tools/python/setup.mjs";
import { Child } from "../lib/child.mjs";
import { RoofProbe } from "../lib/roof.mjs";
import { quantile, summary } from "../lib/statistics.mjs";
import { kinds, loraProducts, operations, projectionProducts } from "./products.mjs";

/** Least share of the peak by threads, and least ratio to torch by precision: issue 5's floors. */
const floors = { share: { 1: 0.8, 2: 0.75 }, ratio: { f32: 1, bf16: 0.85 } };
/** Of so many repetitions the fastest counts, on both sides as in the probe: more of those that are over in no time. */
const triesOf = (product) => Math.min(40, Math.max(4, Math.round(4e9 / operations(product))));

function cases(threadCounts, { bf16 }) {
  const names = Object.keys(kinds).filter((name) => bf16 || kinds[name].precision === "f32");
  const of = (products, names) =>
    products.flatMap((product) =>
      names.flatMap((kind) => threadCounts.map((threads) => ({ kind, threads, ...product, ...kinds[kind] }))),
    );
  const against = names.filter((name) => kinds[name].torch !== undefined);
  return {
    projections: of(projectionProducts, names),
    lora: of(loraProducts, against).map((product) => ({ ...product, weight: "f32" })),
  };
}

/** A probe does no less: starting its threads would count. */
const shortest = 1e9;

/** One product, the fastest of `tries` → { peak, ours, torch } in GFLOP/s. */
async function measure({ probe, ours, torch }, product, tries) {
  const rate = (seconds) => operations(product) / seconds / 1e9;
  const request = { ...product, tries };
  const roof = await probe.ask(product.threads, Math.max(shortest, operations(product)), tries);
  const seconds = { ours: await ours.ask(request) };
  if (product.torch !== undefined) seconds.torch = await torch.ask(request);
  return {
    peak: product.precision === "bf16" ? (roof.tiles ?? roof.bf16) : roof.fma,
    read: roof.read,
    ours: rate(seconds.ours),
    ...(seconds.torch === undefined ? {} : { torch: rate(seconds.torch) }),
  };
}

/** The rounds of one product: share of the peak and ratio to torch within each round. */
function describe(product, rounds) {
  const { weight, precision, torch: _, ...named } = product;
  const column = (value) => summary(rounds.map(value));
  return {
    ...named,
    weight,
    precision,
    peak: column(({ peak }) => peak),
    ours: column(({ ours }) => ours),
    share: column(({ ours, peak }) => ours / peak),
    ...(rounds[0].torch === undefined
      ? {}
      : { torch: column(({ torch }) => torch), ratio: column(({ ours, torch }) => ours / torch) }),
  };
}

/** A round goes once through all products; the first of them warms up and does not count. */
export async function run({ rounds = "5", threads } = {}) {
  const probe = new RoofProbe();
  const ours = new Child(process.execPath, ["bench/roof/ours.mjs"]);
  const torch = new Child(pythonEnvironment(), ["bench/roof/reference.py"]);
  const versions = await torch.answer();
  const threadCounts = threads === undefined ? [1, 2] : [Number(threads)];
  const asked = cases(threadCounts, await probe.ask(1));
  const products = [...asked.projections, ...asked.lora];
  const found = products.map(() => []);
  const reads = [];
  for (let round = 0; round <= Number(rounds); round++) {
    for (const [i, product] of products.entries()) {
      const figures = await measure({ probe, ours, torch }, product, round === 0 ? 1 : triesOf(product));
      if (round === 0) continue;
      found[i].push(figures);
      reads.push({ threads: product.threads, read: figures.read });
    }
  }
  await Promise.all([probe, ours, torch].map((side) => side.close()));
  const described = products.map((product, i) => describe(product, found[i]));
  const projections = described.slice(0, asked.projections.length);
  const lora = described.slice(asked.projections.length);
  return {
    settings: {
      rounds: Number(rounds),
      tries: [4, 40],
      probe: "as many operations as the product, as often",
      threads: threadCounts,
    },
    versions,
    roofs: threadCounts.map((count) => roofOf(count, projections, reads)),
    projections,
    lora,
    table: table(projections, lora, threadCounts, reads),
    goals: goals(projections, threadCounts),
  };
}

function roofOf(threads, projections, reads) {
  const peaks = (precision) =>
    projections.filter((p) => p.threads === threads && p.precision === precision).flatMap(({ peak }) => peak.values);
  const median = (values) => (values.length === 0 ? undefined : quantile(values, 0.5));
  const read = reads.filter((x) => x.threads === threads).map((x) => x.read);
  return { threads, fma: median(peaks("f32")), bf16: median(peaks("bf16")), read: median(read) };
}

const percent = ({ median }) => `${(100 * median).toFixed(0)} %`;
const cell = ({ ours, share, ratio }) =>
  `${ours.median.toFixed(0).padStart(4)} ${percent(share).padStart(6)}${ratio === undefined ? "" : ` ${ratio.median.toFixed(2)}×`}`;

/** A row for a kind and shape: forward and backward on each number of threads, then what an adapter adds. */
function table(projections, lora, threadCounts, reads) {
  const roofs = threadCounts.map((count) => roofOf(count, projections, reads));
  const number = (x) => (x === undefined ? "none" : x.toFixed(0));
  const head = roofs.map(({ threads, fma, bf16, read }) => [
    `roof, threads ${threads}`,
    `f32 ${number(fma)}, bf16 ${number(bf16)} GFLOP/s; read ${number(read)} GB/s`,
  ]);
  const rows = new Map();
  for (const found of [...projections, ...lora]) {
    const pass = found.shape.startsWith("rank") ? ` ${found.pass}` : "";
    const key = `${found.kind}: ${found.shape}${pass}`;
    rows.set(key, [...(rows.get(key) ?? []), found]);
  }
  const columns = (pass) => threadCounts.map((count) => `${pass} ${count}`);
  const title = [
    "GFLOP/s, share of the peak, ratio to torch",
    `${[...columns("forward"), ...columns("backward")].join(" | ")} threads`,
  ];
  return [...head, title, ...[...rows].map(([key, cells]) => [key, cells.map(cell).join(" | ")])];
}

function goals(projections, threadCounts) {
  const worst = (rows, field) => rows.reduce((least, row) => (row[field].median < least[field].median ? row : least));
  const goal = (rows, field, floor, what) => {
    const { shape, pass, [field]: found } = worst(rows, field);
    const reached = found.median >= floor;
    return { what: `${what}: at least ${floor}; least ${found.median.toFixed(3)} (${shape} ${pass})`, floor, reached };
  };
  return threadCounts.flatMap((threads) =>
    [...new Set(projections.map(({ kind }) => kind))].flatMap((kind) => {
      const rows = projections.filter((row) => row.kind === kind && row.threads === threads);
      const where = `${kind}, threads ${threads}`;
      return [
        goal(rows, "share", floors.share[threads] ?? floors.share[2], `${where}: share of the peak`),
        ...(rows[0].ratio === undefined
          ? []
          : [goal(rows, "ratio", floors.ratio[rows[0].precision], `${where}: ratio to torch`)]),
      ];
    }),
  );
}
