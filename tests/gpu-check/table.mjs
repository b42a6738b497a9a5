// A result as lines for the terminal.
import { apart } from "./curves.mjs";
import { figure, gigabytes } from "../../bench/lib/report.mjs";

const percent = (share) => (share === null ? "" : `, ${(100 * share).toFixed(1)} % of `);

function speed({ tokensPerSecond, mfu, ofProduct, teraflops }) {
  const shares = `${mfu === null ? "" : `${percent(mfu)}the datasheet`}${ofProduct === null ? "" : `${percent(ofProduct)}the product`}`;
  return `${figure(tokensPerSecond, 0)} tokens/s, ${teraflops.toPrecision(3)} TFLOP/s${shares}`;
}

function bytes(value) {
  if (value === null || value === undefined) return "not measured";
  return value < 1e8 ? `${(value / 1e6).toFixed(2)} MB` : gigabytes(value);
}

function runLines(run) {
  const { name, rows, length, ours, reference, ratio, memory, cut, error } = run;
  const lines = cut.map(({ rows: tried, why, ours: alone }) => [
    name,
    `cut: not with ${tried} rows: ${why}${alone === undefined ? "" : `; ours alone ${speed(alone)}`}`,
  ]);
  if (error !== undefined) return [...lines, [name, `failed: ${error}`]];
  const memories = (side) => `${bytes(side.deviceBytes)} of the device, ${bytes(side.tensorBytes)} in tensors`;
  const mine = [`${name}, ${rows} × ${length}`, `ours ${speed(ours)}; ${memories(ours)}`];
  if (ratio === undefined) return [...lines, mine, ["", reference.error]];
  const share = memory === null ? "" : `; memory × ${memory.ratio.toFixed(3)} (${memory.of})`;
  return [
    ...lines,
    mine,
    ["", `transformers + peft ${speed(reference)}; ${memories(reference)}`],
    ["", `ratio ${figure(ratio, 2)} in ${ratio.values.length} rounds${share}`],
  ];
}

function curveLines(what, curves) {
  if (!Array.isArray(curves)) return [[what, `failed: ${curves?.error}`]];
  return curves.map((pair) => {
    const note = pair.note === undefined ? "" : ` (${pair.note})`;
    if (pair.theirs === undefined) return [`${what}: ${pair.name}`, `not compared${note}`];
    const { losses } = pair.theirs;
    const ends = `${losses[0].toFixed(4)} … ${losses.at(-1).toFixed(4)}`;
    return [`${what}: ${pair.name}`, `${ends}, ${apart(pair).loss.toExponential(1)} apart${note}`];
  });
}

function rateLines(what, rates) {
  if (!Array.isArray(rates)) return [[what, `failed: ${rates?.error}`]];
  return rates.map(({ type, n, teraflops }) => [
    n === undefined ? `${what} forward and backward, ${type}` : `${what} ${n}³, ${type}`,
    `${[teraflops]
      .flat()
      .map((rate) => rate.toPrecision(3))
      .join(" and ")} TFLOP/s`,
  ]);
}

/** Two columns. */
export function table(result) {
  const { conformance, gradients, training, curves, products, attention, bench, notes } = result;
  return [
    ...Object.entries({ conformance, gradients }).map(([name, part]) => [
      name,
      part.error ??
        `${part.cases} cases, ${part.failures.length} wrong${part.cut > 0 ? `, cut: ${part.cut} left out` : ""}`,
    ]),
    ...curveLines("beside the CPU", training),
    ...curveLines("beside transformers + peft", curves),
    ...rateLines("product", products),
    ...rateLines("attention", attention),
    ...bench.flatMap(runLines),
    ...notes.map((note) => ["note", note]),
  ];
}
