// How the rows of new tokens start, by LlamaFactory's `init_special_tokens`.

import type { RunConfig } from "@welltempered/config";
import { isCodec } from "@welltempered/kernels";
import { add, cast, scale, streamOf, takeRows, type Engine, type Tensor } from "@welltempered/tensor";

export interface NewRows {
  /** Rows of the checkpoint, and of the model. */
  before: number;
  after: number;
  init: RunConfig["initSpecialTokens"];
  /** Rows that start as the mean of the embeddings of these tokens. Where there are none, as the mean of the table. */
  described: readonly { row: number; ids: Int32Array }[];
  seed: number;
}

/**
 * table [before,D] → [after,D] in its dtype, f32 for one in a codec. A new row is mean(table) + N(0, 1/√D); with descriptions it is the mean of
 * their tokens' rows of `embedding`, plus the same noise if asked for, and mean(table) where nothing is described, which
 * is where transformers' own resizing puts it to 3e-5 of the spread. `stream` names the noise: a seed gives the same
 * rows whenever the model is built.
 */
export function growTable(engine: Engine, table: Tensor, embedding: Tensor, stream: string, rows: NewRows): Tensor {
  const old = cast(table, "f32");
  const grown = engine.zeros([rows.after, old.shape[1] ?? 1]);
  writeFrom(grown, 0, old);
  writeFrom(grown, rows.before, newRows(old, embedding, stream, rows));
  return isCodec(table.dtype) ? grown : cast(grown, table.dtype);
}

function newRows(
  old: Tensor,
  embedding: Tensor,
  stream: string,
  { before, after, init, described, seed }: NewRows,
): Tensor {
  const { engine } = old;
  const [mean, width] = [meanRow(old), old.shape[1] ?? 1];
  const zeros = engine.zeros([after - before, width]);
  const key = { seed, stream: streamOf(stream), step: 0, micro: 0, rank: 0 };
  const noise = engine.adopt(engine.backend.normal(zeros.shape, 0, width ** -0.5, key));
  if (described.length === 0) return add(noise, mean);
  const fresh = add(zeros, mean);
  for (const { row, ids } of described) {
    const start = takeRows(init === "desc_init" ? zeros : noise, engine.tensor(Int32Array.of(row - before)));
    const own = ids.length === 0 ? mean : meanRow(takeRows(embedding, engine.tensor(ids)));
    writeFrom(fresh, row - before, add(start, own));
  }
  return fresh;
}

/** x [N,D] → [D] */
const meanRow = (x: Tensor): Tensor => scale(x.engine.adopt(x.engine.backend.sumRows(x.slot)), 1 / (x.shape[0] ?? 1));

/** Overwrites the rows of `target` from `first` on. */
function writeFrom({ engine, slot }: Tensor, first: number, rows: Tensor): void {
  const ids = engine.tensor(Int32Array.from({ length: rows.shape[0] ?? 0 }, (_, row) => first + row));
  engine.backend.writeRows(slot, ids.slot, rows.slot);
}
