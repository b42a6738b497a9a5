// Products by the kernels of this checkout and by another build of them, call by call in turn in one process: the speed of a
// virtual machine moves more between two processes than most changes of a kernel bring.
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { root } from "../../tools/lib.mjs";
import { summary } from "../lib/statistics.mjs";
import { kinds, operations, projectionProducts } from "../roof/products.mjs";

const key = { seed: 1, stream: 1, step: 0, micro: 0, rank: 0 };

/** Both sides of a product on one backend: numbers that do not let it degenerate. */
function operands(backend, { layout, m, n, k }, weight) {
  const a = backend.uniform([m, k], -1, 1, key);
  const b = backend.uniform(layout === "nt" ? [n, k] : [k, n], -1, 1, key);
  if (weight === "f32") return [a, b];
  const cast = backend.cast(b, weight);
  backend.free(b);
  return [a, cast];
}

/** The rounds of one product: GFLOP/s of each build, and how much faster the first is. */
function inTurn(backends, product, { weight, rounds }) {
  const sides = backends.map((backend) => ({ backend, operands: operands(backend, product, weight), rates: [] }));
  for (let round = 0; round <= rounds; round++) {
    for (const { backend, operands, rates } of round % 2 === 0 ? sides : sides.toReversed()) {
      const start = performance.now();
      const y = backend.matmul(product.layout, ...operands, 0.5);
      const seconds = (performance.now() - start) / 1000;
      backend.free(y);
      if (round > 0) rates.push(operations(product) / seconds / 1e9);
    }
  }
  for (const { backend, operands } of sides) for (const slot of operands) backend.free(slot);
  const [ours, other] = sides.map(({ rates }) => rates);
  return { ours: summary(ours), other: summary(other), ratio: summary(ours.map((rate, i) => rate / other[i])) };
}

/** The library that this checkout was built to. */
function own() {
  const folder = join(root, "packages/kernels/native");
  return join(
    folder,
    readdirSync(folder).find((name) => name.endsWith(".node")),
  );
}

/** `require` goes by the end of a file's name; cargo's is `.so`. */
function load(path) {
  const module = { exports: {} };
  process.dlopen(module, resolve(path));
  return module.exports;
}

/** `against` is the library of the other build. */
export async function run({ rounds = "11", threads, against }) {
  const addons = [own(), against].map(load);
  const threadCounts = threads === undefined ? [1, 2] : [Number(threads)];
  const products = ["f32", "bf16", "nf4, f32"].flatMap((kind) =>
    threadCounts.flatMap((count) => {
      const { weight, precision } = kinds[kind];
      const backends = addons.map((addon) => addon.openBackend("cpu", count, precision));
      return projectionProducts.map((product) => ({
        kind,
        threads: count,
        ...product,
        ...inTurn(backends, product, { weight, rounds: Number(rounds) }),
      }));
    }),
  );
  const worst = products.reduce((least, product) => (product.ratio.median < least.ratio.median ? product : least));
  return {
    settings: { rounds: Number(rounds), threads: threadCounts },
    products,
    table: table(products),
    goals: [
      {
        what: `no product slower by more than 3 %; least ${worst.ratio.median.toFixed(3)} (${worst.kind}, ${worst.shape} ${worst.pass})`,
        reached: worst.ratio.median >= 0.97,
      },
    ],
  };
}

const row = ({ kind, threads, shape, pass, ours, other, ratio }) => [
  `${kind}, ${shape} ${pass}, threads ${threads}`,
  `${ours.median.toFixed(0).padStart(4)} and ${other.median.toFixed(0).padStart(4)} GFLOP/s, ${ratio.median.toFixed(3)}`,
];

const table = (products) => [["product", "this build and the other, ratio of each round"], ...products.map(row)];
