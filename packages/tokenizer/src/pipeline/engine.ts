// The pipeline of tokenizer.json: added tokens, normaliser, pre-tokenizer, model; and the way back.
import { type AddedToken, fail, type TokenizerSpec } from "../files/tokenizer-json.ts";
import { createSplitter, type Trust } from "./added-tokens.ts";
import { createDecoder, type Decode } from "./decoders.ts";
import { SequenceNormalizer } from "./library.ts";
import { createModel } from "./models.ts";
import { createPreTokenizer, type PreTokenize } from "./pre-tokenizers.ts";
import { type WordModel } from "./bpe.ts";
import { wellFormed } from "./unicode.ts";

/** The parts that do not depend on the added tokens, built once for a vocabulary. */
export interface Engine {
  spec: TokenizerSpec;
  normalize: ((text: string) => string) | undefined;
  preTokenize: PreTokenize | undefined;
  model: WordModel;
  decode: Decode;
}

export function createEngine(spec: TokenizerSpec): Engine {
  return {
    spec,
    normalize: createNormalizer(spec),
    preTokenize: spec.preTokenizer && createPreTokenizer(spec.preTokenizer, `${spec.file}:pre_tokenizer`),
    model: createModel(spec.model),
    decode: createDecoder(spec.decoder, `${spec.file}:decoder`),
  };
}

function createNormalizer({ normalizer, file }: TokenizerSpec): ((text: string) => string) | undefined {
  if (normalizer === undefined) return undefined;
  try {
    const built = new SequenceNormalizer({ type: "Sequence", normalizers: [normalizer] });
    return (text) => built.normalize(text);
  } catch {
    return fail(`${file}:normalizer`, "is of a type that is not known", "use a model with another tokenizer");
  }
}

/** Text to ids; `trust` tells where control tokens count. */
export type Encode = (text: string, trust: Trust) => number[];

/** The encoder of a vocabulary with these added tokens. */
export function createEncode(engine: Engine, added: readonly AddedToken[]): Encode {
  const normalize = engine.normalize ?? ((text: string): string => text);
  const raw = createSplitter(
    added.filter((token) => !token.normalized),
    (content) => content,
  );
  const normalized = createSplitter(
    added.filter((token) => token.normalized),
    normalize,
  );
  return (input, trust) => {
    const ids: number[] = [];
    for (const section of raw(wellFormed(input), trust)) {
      if ("id" in section) ids.push(section.id);
      else encodeSection(section.text, section.start);
    }
    return ids;

    function encodeSection(section: string, start: number): void {
      const text = normalize(section);
      // A normaliser that changes lengths loses the positions; the section is then trusted as a whole or not at all.
      const moved = text.length !== section.length;
      const within: Trust = (from, to) =>
        moved ? trust(start, start + section.length) : trust(start + from, start + to);
      for (const piece of normalized(text, within)) {
        if ("id" in piece) ids.push(piece.id);
        else encodeText(piece.text, start === 0 && piece.start === 0);
      }
    }

    function encodeText(text: string, first: boolean): void {
      if (engine.preTokenize === undefined) return engine.model(text, ids);
      for (const word of engine.preTokenize(text, first)) engine.model(word, ids);
    }
  };
}
