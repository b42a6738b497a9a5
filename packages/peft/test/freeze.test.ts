import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { AdapterError, chooseTrained, type FreezeSettings } from "../src/index.ts";

interface Case extends FreezeSettings {
  model: string;
  trained?: number[];
  missing?: string;
}

// Made by tools/python/make_freeze_cases.py with LlamaFactory's own function.
const fixture = new URL("../../../fixtures/peft/freeze-cases.json", import.meta.url);
const { models, cases } = JSON.parse(readFileSync(fixture, "utf8")) as {
  models: Record<string, string[]>;
  cases: Case[];
};
const namesOf = (model: string): string[] => models[model] ?? [];

it.each(cases.filter(({ trained }) => trained !== undefined))(
  "$layers blocks, $modules, $extraModules: the weights that LlamaFactory trains",
  ({ model, trained, ...settings }) => {
    const names = namesOf(model);
    expect(chooseTrained(names, settings)).toEqual(trained?.map((index) => names[index]));
  },
);

it.each(cases.filter(({ missing }) => missing !== undefined))(
  "$modules, $extraModules: refused as LlamaFactory refuses it, naming $missing",
  ({ model, missing, ...settings }) => {
    expect(() => chooseTrained(namesOf(model), settings)).toThrow(`module ${missing} is not found; choose from`);
  },
);

it("refuses a choice that trains nothing", () => {
  const nothing = { layers: 0, modules: ["all"], extraModules: [] };
  expect(() => chooseTrained(namesOf("twelve"), nothing)).toThrow(AdapterError);
});
