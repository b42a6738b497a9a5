// The products that are measured: those of a model's projections, and the low-rank ones of LoRA beside them.

/** Projections [rows, out, in] of SmolLM2-135M and of a 1.2B Llama. */
const projections = {
  "135M q": [1024, 576, 576],
  "135M up": [1024, 1536, 576],
  "135M down": [1024, 576, 1536],
  "1.2B q": [512, 2048, 2048],
  "1.2B up": [512, 8192, 2048],
  "1.2B down": [512, 2048, 8192],
};

/** How the weight lies and what is multiplied; torch has a counterpart for the first two. */
export const kinds = {
  f32: { weight: "f32", precision: "f32", torch: "float32" },
  bf16: { weight: "bf16", precision: "bf16", torch: "bfloat16" },
  "nf4, f32": { weight: "nf4/64", precision: "f32" },
  "nf4, bf16": { weight: "nf4/64", precision: "bf16" },
  "q4_1, bf16": { weight: "q4_1", precision: "bf16" },
  "q8_0, bf16": { weight: "q8_0", precision: "bf16" },
};

/** x·Wᵀ, and the gradient on its way back through W. */
function passes([rows, out, inner]) {
  return {
    forward: { layout: "nt", m: rows, n: out, k: inner },
    backward: { layout: "nn", m: rows, n: inner, k: out },
  };
}

/** What a rank-r adapter of the 135M's q adds to a step, x [rows, in]. */
function lowRank([rows, out, inner], r) {
  return {
    x·Aᵀ: { layout: "nt", m: rows, n: r, k: inner },
    "y + s·(xAᵀ)·Bᵀ": { layout: "nt", m: rows, n: out, k: r, into: true },
    g·B: { layout: "nn", m: rows, n: r, k: out },
    "dx + s·(gB)·A": { layout: "nn", m: rows, n: inner, k: r, into: true },
    "dA = (gB)ᵀ·x": { layout: "tn", m: r, n: inner, k: rows },
    "dB = gᵀ·(xAᵀ)": { layout: "tn", m: out, n: r, k: rows },
  };
}

export const projectionProducts = Object.entries(projections).flatMap(([shape, sizes]) =>
  Object.entries(passes(sizes)).map(([pass, product]) => ({ shape, pass, ...product })),
);

/** All of them are products of activations, gradients and f32 adapters: no side is a stored weight. */
export const loraProducts = [8, 64].flatMap((r) =>
  Object.entries(lowRank(projections["135M q"], r)).map(([pass, product]) => ({
    shape: `rank ${r}`,
    pass,
    ...product,
  })),
);

export const operations = ({ m, n, k }) => 2 * m * n * k;
