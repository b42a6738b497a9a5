import { type BpeSpec, type LibrarySpec } from "../files/tokenizer-json.ts";
import { createBpe, type WordModel } from "./bpe.ts";
import { Unigram, WordPiece } from "./library.ts";

/** The model of a checked tokenizer.json: BPE here, Unigram and WordPiece from the library. */
export function createModel(model: BpeSpec | LibrarySpec): WordModel {
  return model.kind === "BPE" ? createBpe(model) : libraryModel(model);
}

function libraryModel({ kind, vocab, json }: LibrarySpec): WordModel {
  const model = kind === "Unigram" ? new Unigram(json, "") : new WordPiece(json);
  const unknown = model.unk_token_id;
  return (word, out) => {
    for (const token of model([word])) {
      const id = vocab.get(token) ?? unknown;
      if (id !== undefined) out.push(id);
    }
  };
}
