// VeRA's matrices belong to the whole adapter: as large as its widest layer, in memory once, and freed with it.
import { architectureOf, initialWeights } from "@welltempered/models";
import type { CausalLM } from "@welltempered/nn";
import { Adapter, readAdapterConfig } from "@welltempered/peft";
import { Engine } from "@welltempered/tensor";
import { describe, expect, it } from "vitest";

const vera = { peft_type: "VERA", r: 64, target_modules: "all-linear" };
const sizes = { vocab_size: 50, hidden_size: 16, intermediate_size: 40, num_hidden_layers: 2, num_attention_heads: 2 };

function tinyModel(engine: Engine): CausalLM {
  const config = { model_type: "llama", num_key_value_heads: 1, ...sizes };
  return architectureOf(config).build(engine, initialWeights(engine, 0.02));
}

describe("the matrices that all layers share", () => {
  it("are as wide as the widest layer, are in memory and among the parameters once", () => {
    const engine = Engine.open({ threads: 1 });
    const model = tinyModel(engine);
    const before = engine.liveBytes();
    const adapter = new Adapter(model, readAdapterConfig(vera));
    const shapes = new Map(adapter.expected());
    expect(shapes.get("base_model.vera_A")).toEqual([64, 40]);
    expect(shapes.get("base_model.vera_B")).toEqual([40, 64]);
    const vectors = [...adapter.tensors()].filter(([name]) => name.includes("lambda"));
    const elements = 2 * 64 * 40 + vectors.reduce((sum, [, { size }]) => sum + size, 0);
    expect(engine.liveBytes() - before).toBe(4 * elements);
    const names = [...model.namedParameters()].map(([name]) => name);
    expect(names.filter((name) => name.endsWith("vera_A"))).toHaveLength(1);
    model.dispose();
    expect(engine.liveTensors()).toBe(0);
  });

  it("are no wider than the targets that are not trained in full", () => {
    const json = { ...vera, target_modules: ["k_proj", "down_proj"], modules_to_save: ["down_proj"] };
    const adapter = new Adapter(tinyModel(Engine.open({ threads: 1 })), readAdapterConfig(json));
    expect(adapter.expected().get("base_model.vera_A")).toEqual([64, 16]);
    expect(adapter.expected().get("base_model.vera_B")).toEqual([8, 64]);
  });

  it("are freed when the adapter is merged", () => {
    const engine = Engine.open({ threads: 1 });
    const model = tinyModel(engine);
    const before = [engine.liveTensors(), engine.liveBytes()];
    new Adapter(model, readAdapterConfig(vera)).merge();
    expect([engine.liveTensors(), engine.liveBytes()]).toEqual(before);
  });

  it("are not of the file where save_projection is false", () => {
    const config = readAdapterConfig({ ...vera, save_projection: false });
    const adapter = new Adapter(tinyModel(Engine.open({ threads: 1 })), config);
    expect([...adapter.expected().keys()].filter((name) => !name.includes("lambda"))).toEqual([]);
  });
});

it("refuses an adapter that no projection is left for", () => {
  const config = readAdapterConfig({ ...vera, target_modules: ["q_proj"], modules_to_save: ["q_proj"] });
  expect(() => new Adapter(tinyModel(Engine.open({ threads: 1 })), config)).toThrow(
    "VeRA has no projection to adapt: all targets are trained in full",
  );
});
