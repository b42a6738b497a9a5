import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { jsonSchema, keyGroups } from "../src/index.ts";
import { inertKeys } from "../src/keys/inert.ts";
import { refusedKeys } from "../src/keys/refused.ts";

interface Upstream {
  keys: Record<string, { default: unknown; choices?: unknown[] }>;
}

// Made by tools/python/make_config_defaults.py from LlamaFactory 0.9.5 itself.
const fixture = new URL("../../../fixtures/config/llamafactory-defaults.json", import.meta.url);
const upstream = (JSON.parse(readFileSync(fixture, "utf8")) as Upstream).keys;
const supported = Object.assign({}, ...Object.values(keyGroups)) as (typeof keyGroups)[string];

const ourOwn = [
  "skip_bad_rows",
  "threads",
  "device",
  "share_prefixes",
  // transformers' name; LlamaFactory leaves it at its default.
  "llm_int8_threshold",
  "export_quantized",
  // Methods that LlamaFactory does not have: names and defaults of the fields of peft and `adapters`.
  "num_virtual_tokens",
  "prompt_tuning_init",
  "prompt_tuning_init_text",
  "prefix_projection",
  "encoder_hidden_size",
  "reduction_factor",
  "non_linearity",
  "ia3_target",
  "feedforward_modules",
  "use_cayley_neumann",
  "num_cayley_neumann_terms",
  "boft_target",
  "boft_block_size",
  "boft_block_num",
  "boft_n_butterfly_factor",
  "vera_target",
  "vera_rank",
  "vera_dropout",
  "d_initial",
  "projection_prng_key",
  "save_projection",
];
/** Where ours differs from LlamaFactory on purpose. */
const deviations: Record<string, unknown> = { split_special_tokens: true };

/** "Not set" is null in Python; here it is undefined, an empty text or an empty list. */
function asPython(value: unknown): unknown {
  if (value === undefined || value === "") return null;
  if (Array.isArray(value)) return value.length > 0 ? value.join(",") : null;
  return value;
}

describe("keys of LlamaFactory 0.9.5", () => {
  it.each(Object.keys(upstream))("%s is in exactly one of the three tables", (key) => {
    const tables = [supported, inertKeys, refusedKeys].filter((table) => Object.hasOwn(table, key));
    expect(tables).toHaveLength(1);
  });

  it.each(Object.keys(supported).filter((key) => !ourOwn.includes(key)))("%s has LlamaFactory's default", (key) => {
    const expected = key in deviations ? deviations[key] : upstream[key]?.default;
    const ours = asPython(supported[key]?.default);
    expect(key === "dataset_dir" ? "data" : ours).toEqual(expected);
  });

  it.each(Object.keys(refusedKeys).filter((key) => key in upstream))("%s counts as off at its default", (key) => {
    const { default: byDefault } = upstream[key] ?? { default: undefined };
    const enumText = typeof byDefault === "string" ? byDefault.replace(/^DownloadMode\./, "").toLowerCase() : byDefault;
    const { off } = refusedKeys[key]!;
    const bothOff = [null, false, ""].includes(off as never) && [null, false, ""].includes(byDefault as never);
    if (!bothOff) expect(off).toEqual(typeof off === "string" ? enumText : byDefault);
  });

  it.each(Object.keys(inertKeys).filter((key) => key in upstream && inertKeys[key]?.only))(
    "%s is accepted at its default",
    (key) => {
      const byDefault = upstream[key]?.default;
      if (byDefault !== null && byDefault !== false) expect(inertKeys[key]?.only).toContainEqual(byDefault);
    },
  );

  it("only schedules that upstream knows are offered", () => {
    const schema = jsonSchema() as { properties: Record<string, { anyOf: { enum?: string[] }[] }> };
    const ours = schema.properties["lr_scheduler_type"]?.anyOf[0]?.enum ?? [];
    expect(ours.length).toBeGreaterThan(10);
    expect(upstream["lr_scheduler_type"]?.choices).toEqual(expect.arrayContaining(ours));
  });
});
