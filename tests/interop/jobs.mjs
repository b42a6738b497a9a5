// node jobs.mjs JOBS.json ANSWERS.json: many small pieces of work in one process, [{do, words, rows?, out?}]; do is
// "train", "export", or "logits" (of every row of every sequence, f32, one after another into `out`). The answers are the
// errors, null where there was none.
import { readFileSync, writeFileSync } from "node:fs";
import { loadConfig } from "@welltempered/config";
import { packRows } from "@welltempered/nn";
import { Engine } from "@welltempered/tensor";
import { loadModel, openBase, runExport, runTraining } from "@welltempered/trainer";

const silent = () => undefined;
const engine = Engine.open();

const kinds = {
  train: async ({ words }) => runTraining(loadConfig(words, "train").config, silent, () => false),
  export: async ({ words }) => runExport(loadConfig(words, "export").config, silent),
  async logits({ words, rows, out }) {
    const { config } = loadConfig(words, "chat");
    const base = openBase(config);
    const { model } = loadModel(base, { engine, config, emit: silent });
    base.weights.close();
    const hidden = () => model.logits(model.forward(packRows(rows)));
    const numbers = await engine.noGrad(() => engine.scope(hidden)).read();
    model.dispose();
    writeFileSync(out, new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
  },
};

const [, , request, out] = process.argv;
const answers = [];
for (const job of JSON.parse(readFileSync(request, "utf8"))) {
  const error = await kinds[job.do](job).then(
    () => null,
    (thrown) => String(thrown),
  );
  answers.push(error);
}
writeFileSync(out, JSON.stringify(answers));
