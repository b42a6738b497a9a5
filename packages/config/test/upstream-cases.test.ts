import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../src/index.ts";

// YAML files that LlamaFactory 0.9.5 itself ran.
const folder = fileURLToPath(new URL("../../../fixtures/llamafactory/cases/", import.meta.url));

describe("configurations LlamaFactory ran", () => {
  it.each(readdirSync(folder).filter((name) => name.endsWith(".yaml")))("%s is accepted unchanged", (name) => {
    const { config } = loadConfig([folder + name]);
    expect(config.maxSteps > 0 || config.numTrainEpochs > 0).toBe(true);
    expect(config.dataset.length).toBeGreaterThan(0);
  });
});
