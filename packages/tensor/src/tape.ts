// Reverse-mode differentiation. Each recorded op is a Node that owns what it saved; backward visits nodes from the
// newest to the oldest and frees each as it passes. Tensors may be disposed earlier: the graph lives in nodes.

import type { Engine } from "./engine.ts";
import { TensorError } from "./errors.ts";
import type { Handle } from "./handle.ts";
import type { Tensor } from "./tensor.ts";

/** The place in the graph that a tensor came from. */
export interface Edge {
  node: Node;
  output: number;
}

/** Where the gradient of an input goes: to the op that made it, or to a leaf. */
export type Source = { edge: Edge } | { leaf: Tensor } | undefined;

/** Gradients of the inputs from gradients of the outputs. Returned handles are owned by the caller. */
export type Pullback = (grads: readonly (Handle | undefined)[]) => readonly (Handle | undefined)[];

export class Node {
  readonly name: string;
  readonly order: number;
  readonly sources: readonly Source[];
  readonly grads: (Handle | undefined)[];
  readonly #pullback: Pullback;
  #saved: readonly Handle[];

  constructor(
    name: string,
    order: number,
    sources: readonly Source[],
    outputs: number,
    saved: readonly Handle[],
    pullback: Pullback,
  ) {
    this.name = name;
    this.order = order;
    this.sources = sources;
    this.grads = Array.from<Handle | undefined>({ length: outputs });
    this.#saved = saved;
    this.#pullback = pullback;
  }

  get needsVisit(): boolean {
    return this.grads.some((grad) => grad !== undefined);
  }

  /** Runs the pullback once, hands each input gradient to `deliver`, frees what was saved. */
  visit(deliver: (source: Source, grad: Handle) => void): void {
    const inputGrads = this.#pullback(this.grads);
    inputGrads.forEach((grad, index) => {
      if (grad !== undefined) deliver(this.sources[index], grad);
    });
    this.release();
  }

  release(): void {
    for (const handle of this.#saved) handle.releaseSaved();
    this.#saved = [];
    for (const grad of this.grads) grad?.release();
    this.grads.fill(undefined);
  }
}

export function sourceOf(input: Tensor): Source {
  if (!input.requiresGrad) return undefined;
  return input.edge === undefined ? { leaf: input } : { edge: input.edge };
}

/** What a source has collected so far. */
export function gradientAt(source: Source): Handle | undefined {
  if (source === undefined) return undefined;
  return "leaf" in source ? source.leaf.grad?.handle : source.edge.node.grads[source.edge.output];
}

/** Nodes that a gradient at `root` can reach, newest first. */
function reachable(root: Node): Node[] {
  const seen = new Set<Node>([root]);
  for (const node of seen) {
    for (const source of node.sources) {
      if (source !== undefined && "edge" in source) seen.add(source.edge.node);
    }
  }
  return [...seen].sort((a, b) => b.order - a.order);
}

/** Adds `grad` (owned) to what is already there, in place where nobody else sees it. */
function accumulate(existing: Handle | undefined, grad: Handle): Handle {
  if (existing === undefined) return grad;
  const k = existing.backend;
  if (existing.unshared) {
    k.accumulate(existing.slot, grad.slot, 1);
    grad.release();
    return existing;
  }
  const sum = existing.backend.binary("add", existing.slot, grad.slot);
  existing.release();
  grad.release();
  return new (existing.constructor as typeof Handle)(k, sum);
}

function deliverToLeaf(engine: Engine, leaf: Tensor, grad: Handle): void {
  if (leaf.grad !== undefined) {
    engine.backend.accumulate(leaf.grad.slot, grad.slot, 1);
    grad.release();
    return;
  }
  // A gradient that something else still holds must not be written to by later accumulation.
  const own = grad.unshared ? grad : engine.ownedCopy(grad);
  leaf.grad = engine.keep(engine.wrap(own, leaf.shape));
}

/** Seeds `loss` with `seed` (owned) and runs the graph backward. */
export function runBackward(engine: Engine, loss: Tensor, seed: Handle, forget: (node: Node) => void): void {
  if (loss.edge === undefined) {
    seed.release();
    throw new TensorError("NO_GRADIENT", "backward: the loss does not depend on anything that requires a gradient");
  }
  const { node: root, output } = loss.edge;
  root.grads[output] = accumulate(root.grads[output], seed);
  const deliver = (source: Source, grad: Handle): void => {
    if (source === undefined) grad.release();
    else if ("leaf" in source) deliverToLeaf(engine, source.leaf, grad);
    else source.edge.node.grads[source.edge.output] = accumulate(source.edge.node.grads[source.edge.output], grad);
  };
  for (const node of reachable(root)) {
    if (node.needsVisit) node.visit(deliver);
    else node.release();
    forget(node);
  }
}
