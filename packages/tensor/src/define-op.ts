import type { KernelBackend, Shape, Slot } from "@welltempered/kernels";
import type { Engine } from "./engine.ts";
import { TensorError } from "./errors.ts";
import { Handle } from "./handle.ts";
import { Remade } from "./rest.ts";
import { gradientAt, sourceOf, type Source } from "./tape.ts";
import type { Tensor } from "./tensor.ts";

export interface ForwardContext {
  k: KernelBackend;
  /** Whether input i wants a gradient; a frozen weight wants none, so nothing is saved or computed for it. */
  needs: readonly boolean[];
  /** What backward will read: inputs, outputs or by-products. Ignored, and by-products freed, when nothing is recorded. */
  save(...slots: Slot[]): void;
  /** Input i as memory that may be overwritten: its own, which then is consumed, or a copy if anyone else holds it. */
  take(input: number): Slot;
}

export interface BackwardContext {
  k: KernelBackend;
  needs: readonly boolean[];
  /** In the order of `save`. */
  saved: readonly Slot[];
  /** The gradient of output i as memory that may be overwritten: its own, or a copy if anyone else holds it. */
  take(output: number): Slot;
  /** What others gave input i so far, where this op may add to it in place and return it; undefined where it may not. */
  into(input: number): Slot | undefined;
}

export interface OpRules<Attributes> {
  /** Output shapes from input shapes. Throws SHAPE_MISMATCH through `fail`. */
  shape(inputs: readonly Shape[], attributes: Attributes): readonly Shape[];
  forward(context: ForwardContext, inputs: readonly Slot[], attributes: Attributes): readonly Slot[];
  /** One gradient an input, undefined where `needs` is false. A missing output gradient is undefined. */
  backward(context: BackwardContext, grads: readonly Slot[], attributes: Attributes): readonly (Slot | undefined)[];
  /** Whether `backward` and `again` take what they saved in bf16 and f16 too, as it may have waited. */
  readsNarrow?: boolean;
  /** The last output once more from what was saved: where that is cheap, nobody keeps it from forward to backward. */
  again?(context: Pick<BackwardContext, "k" | "saved">, attributes: Attributes): Slot;
}

export type Op<Attributes> = (inputs: readonly Tensor[], attributes: Attributes) => Tensor[];

/** Turns shape rule, forward and backward into an op that the tape knows. */
export function defineOp<Attributes>(name: string, rules: OpRules<Attributes>): Op<Attributes> {
  const slotOf = rules.readsNarrow === true ? waitingSlot : slot;
  return (inputs, attributes) => {
    const engine = engineOf(name, inputs);
    const shapes = rules.shape(
      inputs.map((input) => input.shape),
      attributes,
    );
    const needs = inputs.map((input) => engine.grad && input.requiresGrad);
    const recording = needs.includes(true);
    const call = new Call(engine, inputs, recording);
    const context: ForwardContext = {
      k: engine.backend,
      needs,
      save: (...slots) => call.save(slots),
      take: (index) => call.take(index),
    };
    const sources = recording ? inputs.map(sourceOf) : [];
    const slots = rules.forward(
      context,
      inputs.map((input) => input.slot),
      attributes,
    );
    const outputs = call.finish(slots, shapes);
    if (recording) {
      const { saved } = call;
      const { again } = rules;
      const last = outputs.at(-1);
      if (again !== undefined && last !== undefined)
        last.handle.rest = new Remade(saved, slotOf, (k, slots) => again({ k, saved: slots }, attributes));
      engine.record(name, sources, outputs, saved, (grads) =>
        pullback(engine, rules, attributes, { needs, sources, saved, slotOf, grads }),
      );
    }
    return outputs;
  };
}

const slot = (handle: Handle): Slot => handle.slot;
const waitingSlot = (handle: Handle): Slot => handle.waiting;

/** Ownership of the slots of one op call. */
class Call {
  readonly #engine: Engine;
  readonly #inputs: readonly Tensor[];
  readonly #recording: boolean;
  readonly #taken: Handle[] = [];
  #pending: readonly Slot[] = [];
  saved: Handle[] = [];

  constructor(engine: Engine, inputs: readonly Tensor[], recording: boolean) {
    this.#engine = engine;
    this.#inputs = inputs;
    this.#recording = recording;
  }

  save(slots: readonly Slot[]): void {
    this.#pending = slots;
  }

  take(index: number): Slot {
    const input = this.#inputs[index];
    if (input === undefined) throw new TensorError("SHAPE_MISMATCH", `take: there is no input ${index}`);
    const { handle } = input;
    if (!handle.unshared || (input.requiresGrad && input.edge === undefined))
      return this.#engine.backend.copy(handle.slot);
    handle.rest = undefined;
    this.#taken.push(handle.retain());
    input.dispose();
    return handle.slot;
  }

  /** Wraps the outputs, then gives every saved slot its owner. */
  finish(slots: readonly Slot[], shapes: readonly Shape[]): Tensor[] {
    const outputs = slots.map((slot, index) => {
      const handle = this.#taken.find((taken) => taken.slot === slot) ?? new Handle(this.#engine.backend, slot);
      return this.#engine.wrap(handle, shapes[index] ?? []);
    });
    const holds = (slot: Slot) => (tensor: Tensor) => !tensor.disposed && tensor.slot === slot;
    for (const slot of this.#pending) {
      const owner = outputs.find(holds(slot)) ?? this.#inputs.findLast(holds(slot));
      if (this.#recording) this.saved.push(this.#engine.save(owner ?? new Handle(this.#engine.backend, slot)));
      else if (owner === undefined) this.#engine.backend.free(slot);
    }
    return outputs;
  }
}

/** What an op's backward starts from. */
interface Recorded {
  needs: readonly boolean[];
  sources: readonly Source[];
  saved: readonly Handle[];
  slotOf: (handle: Handle) => Slot;
  grads: readonly (Handle | undefined)[];
}

function pullback<Attributes>(
  engine: Engine,
  rules: OpRules<Attributes>,
  attributes: Attributes,
  { needs, sources, saved, slotOf, grads }: Recorded,
): (Handle | undefined)[] {
  const k = engine.backend;
  const grown: Slot[] = [];
  const into = (input: number): Slot | undefined => {
    const gradient = gradientAt(sources[input]);
    if (gradient === undefined || !gradient.unshared) return undefined;
    grown.push(gradient.slot);
    return gradient.slot;
  };
  const take = (output: number): Slot => {
    const grad = grads[output];
    if (grad === undefined) throw new TensorError("NO_GRADIENT", `take: output ${output} has no gradient`);
    return grad.unshared ? grad.slot : k.copy(grad.slot);
  };
  const context = { k, needs, saved: saved.map(slotOf), take, into };
  // An op with several outputs of which only some were used receives a missing gradient as an undefined slot.
  const slots = rules.backward(context, grads.map((grad) => grad?.slot) as Slot[], attributes);
  const known = grads.filter((grad) => grad !== undefined);
  return slots.map((slot) => {
    if (slot === undefined || grown.includes(slot)) return undefined;
    const same = known.find((handle) => handle.slot === slot);
    if (same !== undefined) return same.retain();
    const handle = new Handle(k, slot);
    known.push(handle);
    return handle;
  });
}

function engineOf(name: string, inputs: readonly Tensor[]): Engine {
  const engine = inputs[0]?.engine;
  if (engine === undefined) throw new TensorError("SHAPE_MISMATCH", `${name}: needs at least one input`);
  if (inputs.some((input) => input.engine !== engine)) {
    throw new TensorError("ENGINE_MISMATCH", `${name}: its inputs live on different engines`);
  }
  return engine;
}

/** Throws SHAPE_MISMATCH unless `ok`. */
export function expectShape(ok: boolean, op: string, wanted: string, ...got: readonly Shape[]): void {
  if (ok) return;
  throw new TensorError(
    "SHAPE_MISMATCH",
    `${op}: wanted ${wanted}, got ${got.map((shape) => `[${shape.join(", ")}]`).join(" and ")}`,
  );
}
