import { softCap, type Tensor } from "@welltempered/tensor";
import type { KvCache, KvCacheOptions } from "./kv-cache.ts";
import type { Linear } from "./linear.ts";
import { Module, type Parameter } from "./module.ts";
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
  /** Logits of the head become cap · tanh(logit/cap); 0: they stay. Losses that fuse the head take it along. */
  readonly logitSoftCap: number = 0;
  /** Token ids [N] → [N,D]. Virtual tokens and noise act between this and `decode`. */
  abstract embed(tokens: Int32Array): Tensor;
  /** Embedded rows [N,D] → hidden states [N,D] after the final norm. Advances the cache. */
  abstract decode(embedded: Tensor, rows: PackedRows, cache?: KvCache): Tensor;

  forward(rows: PackedRows, cache?: KvCache): Tensor {
    return this.decode(this.embed(rows.tokens), rows, cache);
  }

  /** Hidden states [N,D] → logits [N,V]. */
  logits(hidden: Tensor): Tensor {
    const raw = this.lm_head.forward(hidden);
    return this.logitSoftCap === 0 ? raw : softCap(raw, this.logitSoftCap);
  }

  /** [V,D] */
  get headWeight(): Parameter {
    return this.lm_head.weight;
  }
}
