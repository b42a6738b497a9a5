// fit() with the objective of `stage: pt`, one optimizer step for each line on standard input: a side of a paired bench.
import { createInterface } from "node:readline";
import { adamw, createLearningRate, decayGroups } from "@welltempered/optimizers";
import { fit, freshState, planSteps, pretrain } from "@welltempered/trainer";

export const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

/** The objective of `stage: pt`, which begins when it is asked to. `other` answers what is no step. */
function onRequest(objective, other, started) {
  const requests = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const asked = async () => {
    for (;;) {
      const { done, value } = await requests.next();
      if (done) process.exit(0);
      const answer = other(JSON.parse(value));
      if (answer === undefined) return;
      say(answer);
    }
  };
  return {
    ...objective,
    loss: async (batch, context) => {
      await asked();
      started();
      return objective.loss(batch, context);
    },
  };
}

/**
 * Says how many numbers train, then loss, gradient norm and seconds of each step it is asked for, until its input ends.
 * @param examples one row each, `config.perDeviceTrainBatchSize` of them a step, in their order
 * @param nativeSeconds seconds in the backend since it was last asked, where somebody counts them
 */
export async function stepOnRequest({
  engine,
  model,
  config,
  examples,
  nativeSeconds = () => undefined,
  other = () => undefined,
}) {
  const parameters = [...model.namedParameters()].filter(([, { trainable }]) => trainable);
  const plan = planSteps({
    examples: examples.length,
    batchSize: config.perDeviceTrainBatchSize,
    accumulation: 1,
    numTrainEpochs: 1,
    maxSteps: -1,
  });
  say({ trainable: parameters.reduce((sum, [, { size }]) => sum + size, 0) });
  const since = (begun) => (performance.now() - begun) / 1000;
  let [begun, complete] = [0, 0];
  await fit({
    engine,
    model,
    objective: onRequest(pretrain(), other, () => {
      nativeSeconds();
      begun = performance.now();
    }),
    examples,
    evalExamples: undefined,
    order: () => Int32Array.from({ length: examples.length }, (_, row) => row),
    plan,
    optimizer: adamw(engine, decayGroups(parameters, 0), { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }),
    learningRate: createLearningRate("constant", {
      warmupSteps: 0,
      totalSteps: plan.totalSteps,
      learningRate: config.learningRate,
    }),
    settings: config,
    state: freshState(),
    afterBackward: [() => void (complete = performance.now())],
    emit: (event) => {
      if (event.type !== "log") return;
      const [seconds, updateSeconds, spent] = [since(begun), since(complete), nativeSeconds()];
      const { loss, gradNorm } = event;
      say({ loss, gradNorm, seconds, updateSeconds, nativeSeconds: spent, liveBytes: engine.liveBytes() });
    },
    shouldStop: () => false,
    save: async () => {},
  });
}
