import { defineOp, expectShape } from "../define-op.ts";
import type { Tensor } from "../tensor.ts";
import type { Shape, Slot } from "@welltempered/kernels";

function checkHead(op: string, [h = [], w = [], labels = []]: readonly Shape[]): void {
  expectShape(
    h[1] === w[1] && h[0] === labels[0] && labels.length === 1,
    op,
    "h [N, D], w [V, D] and labels [N]",
    h,
    w,
    labels,
  );
}

interface Cap {
  /** Logits become cap · tanh(logit/cap); 0: they stay. */
  softCap: number;
}

/**
 * −Σ log softmax(cap(h·wᵀ))[label] over labelled rows, head and loss in one pass that never holds all logits.
 * h [N,D], w [V,D], labels i32 [N] (−100 = no label) → [1].  The gradients of the sum are made in the forward pass.
 */
const crossEntropyOp = defineOp<Cap>("linearCrossEntropy", {
  shape: (inputs) => {
    checkHead("linearCrossEntropy", inputs);
    return [[1]];
  },
  forward: ({ k, needs, save }, [h, w, labels], { softCap }) => {
    const [total, ...gradients] = k.linearCrossEntropy(
      h as Slot,
      w as Slot,
      labels as Slot,
      softCap,
      needs[0] === true,
      needs[1] === true,
    );
    save(...gradients);
    return [total as Slot];
  },
  backward: ({ k, needs, saved }, [g]) => {
    const scaled = saved.map((gradient) => k.scaleBy(gradient, g as Slot));
    return [needs[0] ? scaled[0] : undefined, needs[1] ? scaled.at(-1) : undefined, undefined];
  },
});

/** log softmax(cap(h·wᵀ))[label] a row, 0 without a label.  h [N,D], w [V,D], labels i32 [N] → [N].  Logits are recomputed in backward. */
const logProbOp = defineOp<Cap>("linearLogProb", {
  shape: (inputs) => {
    checkHead("linearLogProb", inputs);
    return [[inputs[0]?.[0] ?? 0]];
  },
  forward: ({ k, save }, [h, w, labels], { softCap }) => {
    const [logp, lse] = k.linearLogProb(h as Slot, w as Slot, labels as Slot, softCap);
    save(h as Slot, w as Slot, labels as Slot, lse);
    return [logp];
  },
  // dh = g·(w[label] − softmax·w), each logit's part times the cap's slope; dw likewise from h
  backward: ({ k, needs, saved: [h, w, labels, lse] }, [g], { softCap }) => {
    const [first, second] = k.linearLogProbBackward(
      g as Slot,
      h as Slot,
      w as Slot,
      labels as Slot,
      softCap,
      lse as Slot,
      needs[0] === true,
      needs[1] === true,
    );
    return [needs[0] ? first : undefined, needs[1] ? (needs[0] ? second : first) : undefined, undefined];
  },
});

/** Summed cross-entropy of labelled rows through the head w, its logits softly capped where `softCap` is not 0, → [1]; in nats. */
export const linearCrossEntropy = (h: Tensor, w: Tensor, labels: Tensor, softCap = 0): Tensor =>
  crossEntropyOp([h, w, labels], { softCap })[0] as Tensor;
/** Log-probability of each row's label through the head w, logits capped alike, → [N]; in nats. */
export const linearLogProb = (h: Tensor, w: Tensor, labels: Tensor, softCap = 0): Tensor =>
  logProbOp([h, w, labels], { softCap })[0] as Tensor;
