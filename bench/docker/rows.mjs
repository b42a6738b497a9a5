// The batches that `temper train <yaml>` trains on, in its order, as JSON for the reference.
import { openModel } from "@welltempered/checkpoint";
import { epochOrder, getTemplate, loadRows, tokenizeRows } from "@welltempered/data";
import { createGgufTokenizer } from "@welltempered/tokenizer";

/** One list of `{ inputIds, labels }` a step. `steps` cuts the run short as max_steps does. */
export function batchesOf(config) {
  const { path, tokenizer, weights } = openModel(config.modelNameOrPath);
  weights.close();
  if (tokenizer.kind !== "gguf") throw new Error(`bench: ${path} is not a GGUF`);
  const text = getTemplate(config.template, createGgufTokenizer(tokenizer.tokenizer, path), {
    allowSpecial: !config.splitSpecialTokens,
  });
  const { dataset } = tokenizeRows(trainingRows(config), text, {
    stage: config.stage,
    cutoffLen: config.cutoffLen,
    trainOnPrompt: config.trainOnPrompt,
    maskHistory: config.maskHistory,
    packing: false,
    neatPacking: false,
    preprocessingBatchSize: 1000,
    template: config.template,
    splitSpecialTokens: config.splitSpecialTokens,
  });
  const size = config.perDeviceTrainBatchSize;
  const stepsPerEpoch = Math.ceil(dataset.length / size);
  const steps = config.maxSteps > 0 ? config.maxSteps : Math.ceil(config.numTrainEpochs * stepsPerEpoch);
  return Array.from({ length: steps }, (_, step) => {
    const order = epochOrder(dataset.length, {
      seed: config.dataSeed ?? config.seed,
      epoch: Math.floor(step / stepsPerEpoch),
      shuffle: !config.disableShuffling,
    });
    const first = (step % stepsPerEpoch) * size;
    return [...order].slice(first, first + size).map((row) => {
      const { inputIds, labels } = dataset.get(row);
      return { inputIds: [...inputIds], labels: [...labels] };
    });
  });
}

const trainingRows = (config) =>
  loadRows({
    stage: config.stage,
    datasetDir: config.datasetDir,
    dataset: config.dataset,
    evalDataset: [],
    mixStrategy: "concat",
    valSize: config.valSize,
    evalOnEachDataset: false,
    seed: config.seed,
    skipBadRows: config.skipBadRows,
    predict: false,
  }).train;
