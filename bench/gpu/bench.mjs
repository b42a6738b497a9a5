// Ours and transformers + peft in turn on one GPU: each side trains a step that is not timed and two that are, a round.
import { largestDifference, summary } from "../lib/statistics.mjs";
import { batchOfIds, flopsPerToken } from "./shapes.mjs";

const ROUNDS = 7;
const [UNTIMED, TIMED] = [1, 2];
/** Beyond a share, before a process that does not answer is killed. */
const GRACE = 15;

class OutOfMemory extends Error {}
class NoTime extends Error {}

/** One side of a run: a process and what its steps gave. */
class Side {
  answers = [];
  /** Seconds of each round. */
  rounds = [];

  constructor(name, child, { run, until, request, device }) {
    Object.assign(this, { name, child, run, until, request, device });
  }

  async ask(words) {
    const answer = await this.child.ask(words, Math.max(1, this.until - now()) + GRACE);
    return this.#checked(answer);
  }

  async started() {
    return this.#checked(await this.child.answer(Math.max(1, this.until - now()) + GRACE));
  }

  #checked(answer) {
    if (answer.error === undefined) return answer;
    throw new (answer.outOfMemory ? OutOfMemory : Error)(`${this.name}: ${answer.error}`);
  }

  async steps(count) {
    for (let i = 0; i < count; i++) this.answers.push(await this.ask(this.request(this.answers.length)));
    return this.answers.slice(-count).reduce((sum, { seconds }) => sum + seconds, 0);
  }

  /** A round; what waits in the allocator is given back after it, so that the other side finds it free. */
  async round() {
    await this.steps(UNTIMED);
    this.rounds.push((await this.steps(TIMED)) / TIMED);
    await this.ask({ trim: true });
  }

  /** The first steps, which warm up, and what the device's memory has lost to them since `before`. */
  async warmUp(before) {
    this.warm = await this.steps(2);
    this.deviceBytes = before === null ? null : (await this.device.used()) - before;
    await this.ask({ trim: true });
  }
}

const now = () => performance.now() / 1000;

/** What all processes use of the device, asked of torch; null where it has none. */
const meter = (reference) => ({
  used: async () => (reference === undefined ? null : (await reference.ask({ used: true }, 60)).bytes),
});

async function openOurs(run, until, { startOurs, reference }) {
  const device = meter(reference);
  const before = await device.used();
  const side = new Side("ours", startOurs(run), { run, until, device, request: (step) => ({ step }) });
  try {
    side.trainable = (await side.started()).trainable;
    await side.warmUp(before);
    side.tensorBytes = (await side.ask({ peak: true })).tensors;
    return side;
  } catch (error) {
    await side.child.close();
    throw error;
  }
}

async function openReference(run, until, { reference }) {
  const device = meter(reference);
  const before = await device.used();
  const request = (step) => ({ step: batchOfIds(run, step) });
  const side = new Side("transformers + peft", reference, { run, until, device, request });
  Object.assign(side, await side.ask({ open: run }));
  await side.warmUp(before);
  side.tensorBytes = side.answers.at(-1).allocated;
  return side;
}

/** Rounds until the time is up, one at least. */
async function rounds(sides, until) {
  for (let last = 0, round = 0; round < ROUNDS && (round === 0 || now() + last < until); round++) {
    const began = now();
    for (const side of sides) await side.round();
    last = now() - began;
  }
}

async function measure(run, until, context) {
  const ours = await openOurs(run, until, context);
  try {
    if (context.reference === undefined)
      return await alone(run, until, ours, context, "transformers + peft: torch is not there");
    let theirs;
    try {
      theirs = await openReference(run, until, context);
    } catch (error) {
      await ours.ask({ trim: true });
      const figures = await alone(run, until, ours, context, error.message);
      return error instanceof OutOfMemory ? { ...figures, smaller: true } : figures;
    }
    const estimate = ((ours.warm + theirs.warm) / 2) * (UNTIMED + TIMED);
    if (now() + estimate > until + GRACE && run.rows > 1)
      throw new NoTime(`a round of ${run.rows} rows takes ${estimate.toFixed(0)} s`);
    await rounds([ours, theirs], until);
    return compare(run, ours, theirs, context);
  } finally {
    await ours.child.close();
    await context.reference?.ask({ close: true }, 60).catch(() => {});
  }
}

async function alone(run, until, ours, context, why) {
  await rounds([ours], Math.min(until, now() + 20));
  return { rows: run.rows, length: run.length, reference: { error: why }, ours: figures(run, ours, context) };
}

function figures(run, side, { product, datasheet }) {
  const tokensPerSecond = summary(side.rounds.map((seconds) => (run.rows * run.length) / seconds));
  const rate = tokensPerSecond.median * flopsPerToken(run);
  return {
    tokensPerSecond,
    teraflops: rate / 1e12,
    mfu: datasheet === undefined ? null : rate / datasheet,
    ofProduct: product === undefined ? null : rate / product,
    trainable: side.trainable,
    deviceBytes: side.deviceBytes,
    tensorBytes: side.tensorBytes,
    losses: side.answers.map(({ loss }) => loss),
    gradNorms: side.answers.map(({ gradNorm }) => gradNorm),
  };
}

function compare(run, ours, theirs, context) {
  const sides = { ours: figures(run, ours, context), reference: figures(run, theirs, context) };
  const both = (field) => [sides.ours[field], sides.reference[field]];
  const memory = ["deviceBytes", "tensorBytes"].find((field) => both(field).every((bytes) => bytes > 0));
  return {
    rows: run.rows,
    length: run.length,
    ...sides,
    attention: theirs.attention,
    ratio: summary(theirs.rounds.map((seconds, round) => seconds / ours.rounds[round])),
    memory: memory === undefined ? null : { of: memory, ratio: sides.ours[memory] / sides.reference[memory] },
    difference: {
      loss: largestDifference(...both("losses")),
      gradNorm: largestDifference(...both("gradNorms")),
    },
  };
}

/**
 * A run of `benchCases` within a share of the time: where memory or time is short with half the rows, on both sides.
 * @param until second of `now` at which the share ends
 * @param context `startOurs(run)` and `reference`: processes; rates of the GPU in operations a second
 */
export async function benchRun(run, until, context) {
  const cut = [];
  for (let rows = run.rows; rows >= 1; rows = Math.floor(rows / 2)) {
    try {
      const { smaller, ...measured } = await measure({ ...run, rows }, until, context);
      if (!smaller || rows === 1) return { name: run.name, shape: run.shape, ...measured, cut };
      cut.push({ rows, why: measured.reference.error, ours: measured.ours });
    } catch (error) {
      if (!(error instanceof OutOfMemory || error instanceof NoTime)) throw error;
      cut.push({ rows, why: error.message });
    }
    if (now() > until) break;
  }
  return { name: run.name, shape: run.shape, cut, error: cut.at(-1).why };
}
