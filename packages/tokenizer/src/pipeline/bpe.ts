// Byte-pair encoding on ids: neighbours merge in the order of rank, then of position, as in Hugging Face's `tokenizers`.
// Short words scan for the best pair; long ones (a megabyte of one letter) use a heap, so that time stays near-linear.
import { type BpeSpec } from "../files/tokenizer-json.ts";
import { MinHeap } from "./min-heap.ts";

/** Turns a pre-token into ids, pushed onto `out`. */
export type WordModel = (word: string, out: number[]) => void;

interface Merges {
  /** left · span + right → rank */
  ranks: ReadonlyMap<number, number>;
  span: number;
  /** rank → id of the merged token */
  merged: Int32Array;
}

const CACHE_WORDS = 20_000;
const CACHE_CHARACTERS = 64;
const SCAN_SYMBOLS = 48;

/** The BPE model of a checked tokenizer.json. */
export function createBpe(spec: BpeSpec): WordModel {
  const merges = indexMerges(spec);
  const symbols = symbolReader(spec);
  const cache = new Map<string, readonly number[]>();
  return (word, out) => {
    let ids = cache.get(word);
    if (ids === undefined) {
      ids = encodeWord(word, spec, symbols, merges);
      if (word.length <= CACHE_CHARACTERS) remember(cache, word, ids);
    }
    for (const id of ids) out.push(id);
  };
}

function remember(cache: Map<string, readonly number[]>, word: string, ids: readonly number[]): void {
  if (cache.size >= CACHE_WORDS) cache.clear();
  cache.set(word, ids);
}

function indexMerges({ vocab, merges }: BpeSpec): Merges {
  let span = 1;
  for (const id of vocab.values()) span = Math.max(span, id + 1);
  const ranks = new Map<number, number>();
  const merged = new Int32Array(merges.length / 3);
  for (let rank = 0; rank < merged.length; rank += 1) {
    const at = (place: number): number => merges[3 * rank + place] as number;
    ranks.set(at(0) * span + at(1), rank);
    merged[rank] = at(2);
  }
  return { ranks, span, merged };
}

function encodeWord(word: string, spec: BpeSpec, symbols: (word: string) => number[], merges: Merges): number[] {
  const whole = spec.ignoreMerges ? spec.vocab.get(word) : undefined;
  if (whole !== undefined) return [whole];
  const ids = symbols(word);
  return ids.length <= SCAN_SYMBOLS ? mergeByScan(ids, merges) : mergeByHeap(ids, merges);
}

/** The ids a word starts from: one a character, bytes or the unknown token where the vocabulary lacks it. */
function symbolReader(spec: BpeSpec): (word: string) => number[] {
  const unknown = spec.unknownToken === undefined ? undefined : spec.vocab.get(spec.unknownToken);
  const encoder = new TextEncoder();
  const bytesOf = (character: string): number[] | undefined => {
    if (!spec.byteFallback) return undefined;
    const ids = Array.from(encoder.encode(character), (byte) =>
      spec.vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
    );
    return ids.every((id) => id !== undefined) ? ids : undefined;
  };
  return (word) => {
    const ids: number[] = [];
    let afterUnknown = false;
    for (const [index, character] of spellings(word, spec)) {
      const known = spec.vocab.get(character);
      const found = known === undefined ? bytesOf(characterAt(word, index)) : [known];
      if (found !== undefined) ids.push(...found);
      else if (unknown !== undefined && !(spec.fuseUnknown && afterUnknown)) ids.push(unknown);
      afterUnknown = found === undefined;
    }
    return ids;
  };
}

/** Characters with their offset, dressed in the prefix and suffix some vocabularies use. */
function* spellings(word: string, spec: BpeSpec): Generator<[number, string]> {
  let offset = 0;
  for (const character of word) {
    const last = offset + character.length === word.length;
    yield [offset, (offset > 0 ? spec.continuingSubwordPrefix : "") + character + (last ? spec.endOfWordSuffix : "")];
    offset += character.length;
  }
}

function characterAt(word: string, offset: number): string {
  return String.fromCodePoint(word.codePointAt(offset) ?? 0xfffd);
}

function mergeByScan(ids: number[], { ranks, span, merged }: Merges): number[] {
  for (;;) {
    let best = Infinity;
    let at = -1;
    for (let i = 0; i + 1 < ids.length; i += 1) {
      const rank = ranks.get((ids[i] as number) * span + (ids[i + 1] as number));
      if (rank !== undefined && rank < best) [best, at] = [rank, i];
    }
    if (at < 0) return ids;
    ids[at] = merged[best] as number;
    ids.splice(at + 1, 1);
  }
}

/** Symbols as a doubly linked list; a heap entry is rank · 2³² + position, stale ones are recognised by their rank. */
function mergeByHeap(ids: number[], { ranks, span, merged }: Merges): number[] {
  const POSITION = 2 ** 32;
  const next = Int32Array.from(ids, (_, i) => (i + 1 < ids.length ? i + 1 : -1));
  const previous = Int32Array.from(ids, (_, i) => i - 1);
  const heap = new MinHeap(ids.length);
  const rankAt = (i: number): number | undefined => {
    const right = i < 0 ? -1 : (next[i] as number);
    return right < 0 ? undefined : ranks.get((ids[i] as number) * span + (ids[right] as number));
  };
  const offer = (i: number): void => {
    const rank = rankAt(i);
    if (rank !== undefined) heap.push(rank * POSITION + i);
  };
  for (let i = 0; i + 1 < ids.length; i += 1) offer(i);
  for (let top = heap.pop(); top !== undefined; top = heap.pop()) {
    const at = top % POSITION;
    const rank = Math.floor(top / POSITION);
    if (ids[at] === GONE || rankAt(at) !== rank) continue;
    const right = next[at] as number;
    ids[at] = merged[rank] as number;
    ids[right] = GONE;
    const after = next[right] as number;
    next[at] = after;
    if (after >= 0) previous[after] = at;
    next[right] = -1;
    offer(previous[at] as number);
    offer(at);
  }
  return ids.filter((id) => id !== GONE);
}

const GONE = -1;
