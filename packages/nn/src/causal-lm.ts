import type { Tensor } from "@welltempered/tensor";
import type { KvCache, KvCacheOptions } from "./kv-cache.ts";
import type { Linear } from "./linear.ts";
import { Module, type Parameter } from "./module.ts";
import { neftune } from "./neftune.ts";
import type { PackedRows } from "./rows.ts";

/**
 * A decoder-only language model. `forward` returns hidden states; the head is applied by whoever needs it: the loss on
 * labelled rows, generation on the last row, a value head, a log-probability.
 */
export abstract class CausalLM extends Module {
  /** Shape of the cache this model needs, for one sequence of capacity 0. */
  abstract readonly cacheShape: Pick<KvCacheOptions, "layers" | "width">;
  /** The output projection; its weight is the embedding's own parameter where the head is tied. */
  abstract readonly lm_head: Linear;
  /** α of NEFTune's noise while training; 0 is none. */
  neftuneAlpha = 0;
  /**
   * Token ids [N] → [N,D], what transformers' embedding module gives: scaled where that module scales, and not yet where
   * the model does. Virtual tokens and noise act between this and `decode`.
   */
  abstract embed(tokens: Int32Array): Tensor;
  /** Embedded rows [N,D] → hidden states [N,D] after the final norm. Advances the cache. */
  abstract decode(embedded: Tensor, rows: PackedRows, cache?: KvCache): Tensor;

  forward(rows: PackedRows, cache?: KvCache): Tensor {
    const embedded = this.embed(rows.tokens);
    const noisy = this.training && this.neftuneAlpha > 0 ? neftune(embedded, rows, this.neftuneAlpha) : embedded;
    return this.decode(noisy, rows, cache);
  }

  /** [V,D] */
  get headWeight(): Parameter {
    return this.lm_head.weight;
  }
}
