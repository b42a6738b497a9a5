// What a result must show, whatever the speed: a pure function of it.
import { apart } from "./curves.mjs";

/**
 * f32: both sides add the same products in another order, and twenty Adam steps carry a last bit on: 1e-5 between two
 * CPUs (packages/trainer/test/qlora.test.ts), ten times that for tiles and tensor cores of another machine. bf16: a
 * number carries 2⁻⁹ of rounding, which the mean over the tokens of a step leaves at 1e-3; f32 and bf16 of torch itself are
 * 1.5e-3 apart in these steps.
 */
export const bounds = {
  f32: { loss: 1e-4, gradNorm: 1e-3 },
  bf16: { loss: 5e-3, gradNorm: 5e-2 },
};
const STEPS = 20;
/** The reference's last loss over its first, at most: where nothing is learned, a comparison would be empty. */
const LEARNED = 0.99;

const verdict = (what, ok, detail) => ({ what, ok, detail });
const short = (x) => x.toExponential(1);

/** A part that did not come to its end. */
const broken = (what, part) =>
  part?.error === undefined && part !== undefined ? [] : [verdict(what, false, part?.error ?? "is missing")];

function judgeCases(what, part) {
  const fault = broken(what, part);
  if (fault.length > 0) return fault;
  const [first] = part.failures;
  const detail =
    first === undefined ? `${part.cases} cases` : `${part.failures.length} of ${part.cases}: ${JSON.stringify(first)}`;
  return [verdict(what, part.cases > 0 && first === undefined, detail)];
}

function judgeCurve(what, pair) {
  const bound = pair.name.endsWith("bf16") ? bounds.bf16 : bounds.f32;
  const { loss, gradNorm } = apart(pair);
  const { losses } = pair.theirs;
  const near = loss <= bound.loss && gradNorm <= bound.gradNorm;
  const whole = losses.length === STEPS && losses.at(-1) < LEARNED * losses[0];
  const detail = `losses ${short(loss)} apart (${bound.loss} allowed), norms ${short(gradNorm)}`;
  return verdict(
    `${what}: ${pair.name}`,
    near && whole,
    whole ? detail : `${detail}; too little is learned to compare`,
  );
}

function judgeCurves(what, curves) {
  const fault = broken(what, curves);
  if (fault.length > 0) return fault;
  return curves.filter(({ theirs }) => theirs !== undefined).map((pair) => judgeCurve(what, pair));
}

function judgeRun(run) {
  const { name, error, ours, reference, difference } = run;
  if (error !== undefined) return verdict(name, false, error);
  const trains = [ours, reference].flatMap((side) => side.gradNorms ?? []).every((norm) => norm > 0 && norm < Infinity);
  if (!trains) return verdict(name, false, "a gradient norm is 0 or not finite");
  if (difference === undefined)
    return verdict(name, ours.losses.every(Number.isFinite), "ours alone: gradients not zero");
  const { loss, gradNorm } = difference;
  const equal = loss <= bounds.bf16.loss && gradNorm <= bounds.bf16.gradNorm;
  const same = ours.trainable === reference.trainable;
  const detail = `losses ${short(loss)} apart (${bounds.bf16.loss} allowed), norms ${short(gradNorm)}, none zero`;
  return verdict(name, equal && same, same ? detail : `${ours.trainable} numbers train, ${reference.trainable} there`);
}

/** → [{ what, ok, detail }] of a result; nothing of the speed. */
export function judgements({ conformance, gradients, training, curves, products, attention, bench }) {
  return [
    ...judgeCases("conformance", conformance),
    ...judgeCases("gradients", gradients),
    ...judgeCurves("20 steps beside the CPU", training),
    ...judgeCurves("20 steps beside transformers + peft", curves),
    ...broken("products", products),
    ...broken("attention", attention),
    ...bench.map(judgeRun),
  ];
}

/** What speed was to be reached, of the first run of the benchmark. */
export function goals({ small, bench: [first] }) {
  if (small) return [];
  const { ours, ratio, memory } = first ?? {};
  const reached = (what, value, holds) => ({
    what,
    reached: value === undefined || value === null ? null : holds(value),
  });
  return [
    reached(`${first?.name}: MFU of at least 42 %`, ours?.mfu, (mfu) => mfu >= 0.42),
    reached(`${first?.name}: at least 1.5 × transformers + peft`, ratio?.median, (median) => median >= 1.5),
    reached(`${first?.name}: at most 70 % of its memory`, memory?.ratio, (share) => share <= 0.7),
  ];
}
