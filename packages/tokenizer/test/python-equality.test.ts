import { describe, expect, it } from "vitest";
import { allStrings, type Cases, fixture, idsCrc, llama3Style, smollm2, storedCrcs } from "./fixtures.ts";

const strings = allStrings();

describe.each([
  ["SmolLM2 from GGUF metadata", smollm2, "smollm2-cases"],
  ["a Llama-3-style tokenizer.json", llama3Style, "llama3-style-cases"],
] as const)("%s", (_name, create, casesName) => {
  const tokenizer = create();
  const cases = fixture<Cases>(casesName);

  it("has Python's vocabulary size", () => {
    expect(tokenizer.vocabSize).toBe(cases.vocabSize);
    expect(strings.length).toBe(cases.count);
  });

  it.each([
    ["plain text", "plain", false],
    ["control tokens", "special", true],
  ] as const)("gives Python's ids for 40,752 strings with control tokens as %s", (_mode, key, allowSpecial) => {
    const expected = storedCrcs(cases[key]);
    const differing = strings.filter(
      (text, index) => idsCrc(tokenizer.encode(text, { allowSpecial })) !== expected[index],
    );
    expect(differing.slice(0, 5)).toEqual([]);
    for (const [index, ids] of cases[key].full.entries())
      expect(tokenizer.encode(strings[index]!, { allowSpecial })).toEqual(ids);
  });

  it("adds what the post-processor adds", () => {
    for (const [index, ids] of cases.framed.entries()) {
      expect(tokenizer.encode(strings[index]!, { allowSpecial: true, addSpecialTokens: true })).toEqual(ids);
    }
  });

  it("decodes random ids as Python does, broken UTF-8 included", () => {
    for (const [ids, whole, skipped] of cases.decoded) {
      expect(tokenizer.decode(ids)).toBe(whole);
      expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(skipped);
    }
  });

  it("streams the same text without ever emitting half a character", () => {
    for (const text of strings.slice(0, 300)) {
      const ids = tokenizer.encode(text);
      const stream = tokenizer.decodeStream();
      const pieces = ids.map((id) => stream.push(id));
      expect(pieces.every((piece) => text.includes("\uFFFD") || !piece.includes("\uFFFD"))).toBe(true);
      expect(pieces.join("") + stream.flush()).toBe(tokenizer.decode(ids));
    }
  });
});
