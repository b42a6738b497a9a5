// node scores.mjs <model> <adapter or ""> <sequences.json> <scores.json>: what openRewardModel says of sequences of ids.
import { readFileSync, writeFileSync } from "node:fs";
import { loadConfig } from "@welltempered/config";
import { openRewardModel } from "@welltempered/trainer";

const [, , model, adapter, request, answer] = process.argv;
const adapters = adapter === "" ? [] : [`adapter_name_or_path=${adapter}`];
const { config } = loadConfig(
  [`model_name_or_path=${model}`, "template=chatml", "per_device_eval_batch_size=3", ...adapters],
  "chat",
);
const reward = await openRewardModel(config, () => {});
writeFileSync(answer, JSON.stringify(await reward.score(JSON.parse(readFileSync(request, "utf8")))));
reward.dispose();
