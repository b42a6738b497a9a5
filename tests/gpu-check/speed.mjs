// Speed of products, against which the benchmark is stated, and of attention.
import { openBackend } from "@welltempered/kernels";

/** Median seconds of `work`, which a read of one number ends. */
async function seconds(k, work) {
  const [marker, times] = [k.alloc("f32", [1]), []];
  for (let i = 0; i < 7; i++) {
    const started = performance.now();
    const made = work();
    await k.read(marker);
    times.push((performance.now() - started) / 1000);
    for (const slot of made) k.free(slot);
  }
  return times.slice(2).toSorted((a, b) => a - b)[2];
}

const key = { seed: 1, stream: 2, step: 3, micro: 4, rank: 0 };

export async function products({ small }) {
  const n = small ? 64 : 8192;
  const results = [];
  for (const type of ["f32", "bf16"]) {
    const k = openBackend({ device: "cuda", matmulPrecision: type });
    const [a, b] = [0, 1].map((stream) => k.cast(k.normal([n, n], 0, 1, { ...key, stream }), type));
    const time = await seconds(k, () => [k.matmul("nt", a, b, 1)]);
    for (const slot of [a, b]) k.free(slot);
    results.push({ type, n, seconds: time, teraflops: (2 * n ** 3) / time / 1e12 });
  }
  return results;
}

/** Llama-3.1-8B: 32 heads over 8, 128 numbers each; four packed rows of 2,048. */
export async function attention({ small }) {
  const [rows, length] = small ? [2, 40] : [4, 2048];
  const [heads, keyHeads, headDim] = [32, 8, 128];
  const results = [];
  for (const type of ["f32", "bf16"]) {
    const k = openBackend({ device: "cuda", matmulPrecision: type });
    const floats = (width, stream) => k.normal([rows * length, width * headDim], 0, 1, { ...key, stream });
    const [q, g, kk, v] = [floats(heads, 0), floats(heads, 1), floats(keyHeads, 2), floats(keyHeads, 3)];
    const numbers = Int32Array.from(
      Array.from({ length: rows }, (_, i) => [i * length, length, 1, i * length, length]).flat(),
    );
    const layout = k.upload("i32", [numbers.length], new Uint8Array(numbers.buffer));
    const options = { headDim, scale: headDim ** -0.5, window: 0, softCap: 0 };
    const [o, lse] = k.attention(q, kk, v, layout, options);
    const forward = await seconds(k, () => k.attention(q, kk, v, layout, options));
    const backward = await seconds(k, () => k.attentionBackward(g, q, kk, v, o, lse, layout, options));
    // Two products forward and five backward, of which causality leaves half.
    const flops = 2 * rows * heads * length ** 2 * headDim;
    results.push({ type, forward, backward, teraflops: [flops / forward / 1e12, (2.5 * flops) / backward / 1e12] });
  }
  return results;
}
