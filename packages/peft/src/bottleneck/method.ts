import { Residual, type CausalLM, type Parameter } from "@welltempered/nn";
import { AdapterError } from "../errors.ts";
import type { AttachedMethod, Attachment } from "../method.ts";
import { activations, readBottleneckConfig, writeBottleneckConfig, type BottleneckConfig } from "./config.ts";
import { Bottleneck } from "./layer.ts";

/** Where a decoder layer has its residual connections, and what `adapters` calls the modules there. */
const places = [
  { residual: "attention_residual", theirs: "attention_adapters", used: "afterAttention" },
  { residual: "mlp_residual", theirs: "output_adapters", used: "afterMlp" },
] as const;

function attach(model: CausalLM, config: BottleneckConfig): Attachment {
  const { engine } = model.headWeight.tensor;
  const hiddenSize = model.headWeight.shape[1] ?? 0;
  const tensors: [name: string, parameter: Parameter][] = [];
  for (const [path, module] of model.namedModules()) {
    const cut = path.lastIndexOf(".");
    const place = places.find(({ residual, used }) => path.slice(cut + 1) === residual && config[used]);
    if (place === undefined || !(module instanceof Residual)) continue;
    const layer = new Bottleneck(engine, {
      path,
      hiddenSize,
      width: widthOf(hiddenSize, config.reductionFactor),
      activation: activations[config.nonLinearity],
      readsSum: config.readsSum,
    });
    model.replaceModule(path, layer);
    const prefix = `${path.slice(0, cut)}.${place.theirs}.adapters.${config.name}`;
    tensors.push(...tensorsOf(layer).map(([name, parameter]): [string, Parameter] => [`${prefix}.${name}`, parameter]));
  }
  if (tensors.length === 0)
    throw new AdapterError("this model has no place for a bottleneck adapter; use another method");
  return { adapterTensors: () => tensors };
}

/** As `adapters` rounds it. @throws {AdapterError} where it would be out of all proportion */
function widthOf(hiddenSize: number, reductionFactor: number): number {
  const width = Math.max(1, Math.floor(hiddenSize / reductionFactor));
  if (width > 16 * hiddenSize)
    throw new AdapterError(`reduction_factor is ${reductionFactor}; it must be at least 1/16`);
  return width;
}

function* named({ adapter_down: down, adapter_up: up }: Bottleneck): Generator<[string, Parameter | undefined]> {
  // The projection down is the first of torch's Sequential, with the activation behind it.
  yield ["adapter_down.0.weight", down.weight];
  yield ["adapter_down.0.bias", down.bias];
  yield ["adapter_up.weight", up.weight];
  yield ["adapter_up.bias", up.bias];
}

const tensorsOf = (layer: Bottleneck): [string, Parameter][] =>
  [...named(layer)].filter((entry): entry is [string, Parameter] => entry[1] !== undefined);

export const bottleneck: AttachedMethod<BottleneckConfig> = {
  library: "adapters",
  read: readBottleneckConfig,
  write: (config, _targetModules, baseModel) => writeBottleneckConfig(config, baseModel),
  attach,
};
