import { softCap, takeRows, type Tensor } from "@welltempered/tensor";
import type { KeyValueStore, KvCache, KvCacheOptions } from "./kv-cache.ts";
import type { Linear } from "./linear.ts";
import { Module, type Parameter } from "./module.ts";
import { neftune } from "./neftune.ts";
import type { Prefix } from "./prefix.ts";
import { longestOf, shifted, type PackedRows } from "./rows.ts";
import { sharePrefixes } from "./shared-prefixes.ts";
import type { ValueHead } from "./value-head.ts";

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
  /** Keys turn one way while the longest sequence has up to so many tokens, and another way behind: no cache serves both. */
  readonly cacheBorder: number = Infinity;
  /** What every sequence continues, where a PEFT method put something there. */
  prefix: Prefix | undefined;
  /** What a reward model scores hidden states with; undefined where words alone come out. */
  v_head: ValueHead | undefined;
  /** α of NEFTune's noise while training; 0 is none. */
  neftuneAlpha = 0;
  /** Whether layers are computed again in backward, and keep their inputs alone (Chen et al. 2016). */
  recomputes = false;
  /** Whether beginnings that sequences of a micro-batch have in common are computed once, where that is exact. */
  sharesPrefixes = true;
  /**
   * Token ids [N] → [N,D], what transformers' embedding module gives: scaled where that module scales, and not yet where
   * the model does.
   */
  abstract embed(tokens: Int32Array): Tensor;
  /** Embedded rows [N,D] → hidden states [N,D] after the final norm. Advances the store. */
  abstract decode(embedded: Tensor, rows: PackedRows, store?: KeyValueStore): Tensor;

  /** Rows as `embed` gives them, with NEFTune's noise while training; virtual tokens have none.  → [N,D] */
  embedRows(rows: PackedRows): Tensor {
    const embedded = this.embed(rows.tokens);
    return this.training && this.neftuneAlpha > 0 ? neftune(embedded, rows, this.neftuneAlpha) : embedded;
  }

  /** Hidden states [N,D] of the rows, those of a prefix not among them. */
  forward(rows: PackedRows, cache?: KvCache): Tensor {
    const shared = cache === undefined && this.sharesPrefixes && !this.#noisy() ? sharePrefixes(rows) : undefined;
    if (shared === undefined) return this.#forward(rows, cache);
    const hidden = this.#forward(shared.rows, undefined);
    return takeRows(hidden, hidden.engine.tensor(shared.places));
  }

  /** Whether rows of the same tokens get different noise. */
  #noisy(): boolean {
    if (!this.training) return false;
    return this.neftuneAlpha > 0 || [...this.namedModules()].some(([, module]) => module.stochastic);
  }

  #forward(rows: PackedRows, cache: KvCache | undefined): Tensor {
    const { prefix } = this;
    if (prefix === undefined) return this.decode(this.embedRows(rows), rows, cache);
    if (cache === undefined) return prefix.forward(this, rows);
    const behind = shifted(rows, prefix.length);
    if (!cache.prefixFilled) cache.fillPrefix(() => prefix.fill(this, cache, longestOf(behind)));
    return this.decode(this.embedRows(rows), behind, cache);
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
