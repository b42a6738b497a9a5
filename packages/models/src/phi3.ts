// Phi3ForCausalLM (Abdin et al. 2024): Llama with q, k, v in one projection, gate and up in another, rotation of the
// first part of each head, a sliding window where `sliding_window` is given, and LongRoPE.

import { Module, type Projection } from "@welltempered/nn";
import { splitColumns, swiglu, type Tensor } from "@welltempered/tensor";
import { Attention, type AttentionSettings, type QueryKeyValue } from "./attention.ts";
import { readDecoderConfig, slidingWindow, type DecoderConfig } from "./decoder-config.ts";
import { PreNormLayer } from "./decoder-layer.ts";
import { decoder } from "./decoder.ts";
import { ModelConfigError } from "./errors.ts";
import { numberField, onlyField, recordField, type ConfigRecord } from "./fields.ts";
import type { Architecture } from "./model.ts";
import type { ModuleSource } from "./module-source.ts";
import { headWidths, linearTensors, normTensors } from "./tensors.ts";

class Phi3Attention extends Attention {
  qkv_proj: Projection;
  o_proj: Projection;
  readonly #widths: readonly number[];

  constructor(source: ModuleSource, config: DecoderConfig, settings: AttentionSettings) {
    super(config, settings);
    const [queries, keys] = headWidths(config);
    this.#widths = [queries, keys, keys];
    this.qkv_proj = source.linear("qkv_proj");
    this.o_proj = source.linear("o_proj");
  }

  protected project(x: Tensor): QueryKeyValue {
    const [q, k, v] = splitColumns(this.qkv_proj.forward(x), this.#widths) as [Tensor, Tensor, Tensor];
    return { q, k, v };
  }
}

class Phi3Mlp extends Module {
  gate_up_proj: Projection;
  down_proj: Projection;
  readonly #widths: readonly number[];

  constructor(source: ModuleSource, { intermediateSize }: DecoderConfig) {
    super();
    this.#widths = [intermediateSize, intermediateSize];
    this.gate_up_proj = source.linear("gate_up_proj");
    this.down_proj = source.linear("down_proj");
  }

  forward(x: Tensor): Tensor {
    const [gate, up] = splitColumns(this.gate_up_proj.forward(x), this.#widths) as [Tensor, Tensor];
    return this.down_proj.forward(swiglu(gate, up));
  }
}

/** `partial_rotary_factor`, in `rope_parameters` (transformers 5) or beside them (before), as channels of a head. */
function rotaryChannels(record: ConfigRecord, { headDim }: DecoderConfig): number {
  const key = "partial_rotary_factor";
  const value = recordField(record, "rope_parameters")?.[key] ?? record[key];
  const channels = Math.trunc(headDim * numberField({ [key]: value }, key, 1));
  if (channels > headDim || channels < 2 || channels % 2 !== 0)
    throw new ModelConfigError(
      key,
      `turns ${channels} of ${headDim} channels of a head; it must be a whole even number`,
    );
  return channels;
}

/** Lengths that Phi3Config assumes, and `longrope` where it stands under an older name. */
function withRope(record: ConfigRecord): ConfigRecord {
  const parameters = recordField(record, "rope_parameters") ?? recordField(record, "rope_scaling") ?? {};
  const type = parameters["rope_type"] ?? parameters["type"];
  const rope_type = type === "su" || type === "yarn" ? "longrope" : type;
  return {
    max_position_embeddings: 4096,
    original_max_position_embeddings: 4096,
    ...record,
    rope_parameters: { ...parameters, rope_type },
  };
}

/** The `phi3` architecture. @throws {ModelConfigError} naming the key of config.json */
export function phi3(record: ConfigRecord): Architecture {
  const config = readDecoderConfig(withRope(record), { rmsNormEps: 1e-5 });
  if (config.rope.type !== "default" && config.rope.type !== "longrope")
    throw new ModelConfigError(
      "rope_scaling",
      `has type "${config.rope.type}"; supported for phi3 are default and longrope`,
    );
  onlyField(record, "resid_pdrop", 0);
  const window = slidingWindow(record, 0);
  const { hiddenSize, intermediateSize } = config;
  const [queries, keys] = headWidths(config);
  return decoder(config, {
    layerTensors: [
      ...linearTensors("self_attn.qkv_proj", queries + 2 * keys, hiddenSize),
      ...linearTensors("self_attn.o_proj", hiddenSize, queries),
      ...linearTensors("mlp.gate_up_proj", 2 * intermediateSize, hiddenSize),
      ...linearTensors("mlp.down_proj", hiddenSize, intermediateSize),
      ...normTensors(hiddenSize, "input_layernorm", "post_attention_layernorm"),
    ],
    rotaryDim: rotaryChannels(record, config),
    layer: (source, index) =>
      new PreNormLayer(source, config, {
        attention: new Phi3Attention(source.at("self_attn"), config, { layer: index, window }),
        mlp: new Phi3Mlp(source.at("mlp"), config),
      }),
  });
}
