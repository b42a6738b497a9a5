import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { TokenizerError } from "../src/errors.ts";
import { createGgufTokenizer } from "../src/gguf.ts";
import { createTokenizer } from "../src/hf-tokenizer.ts";
import { loadTokenizer } from "../src/node.ts";
import { canExplode } from "../src/pipeline/regex.ts";
import { fixture, llama3Style, smollm2 } from "./fixtures.ts";

const BPE = { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: ["a b"] };

function failure(json: unknown): string {
  try {
    createTokenizer({ "tokenizer.json": typeof json === "string" ? json : JSON.stringify(json) }, "model");
  } catch (error) {
    expect(error).toBeInstanceOf(TokenizerError);
    expect((error as TokenizerError).exitCode).toBe(2);
    return (error as Error).message;
  }
  throw new Error("it was accepted");
}

describe("a bad tokenizer.json is refused in one line", () => {
  it.each([
    ["not JSON", "{", /^model\/tokenizer\.json: is not valid JSON/],
    ["a list", "[]", /does not hold a JSON object/],
    ["no model", {}, /:model: is missing/],
    ["an unknown model", { model: { type: "Magic" } }, /:model\.type: "Magic" is not known; /],
    [
      "a merge longer than any key",
      { model: { ...BPE, vocab: { ab: 0, cd: 1 }, merges: ["ab cd"] } },
      /:model\.merges\[0\]: "ab cd" needs the token "abcd"/,
    ],
    ["a merge of unknown tokens", { model: { ...BPE, merges: ["a b", "x y"] } }, /:model\.merges\[1\]: .*"x"/],
    ["a merge of three", { model: { ...BPE, merges: ["a b ab"] } }, /is not a pair of tokens/],
    ["an id of 2^32 - 1", { model: { ...BPE, vocab: { a: 2 ** 32 - 1 } } }, /token "a" has id 4294967295/],
    ["a negative id", { model: { ...BPE, vocab: { a: -1 } } }, /token "a" has id -1/],
    ["an id twice", { model: { ...BPE, vocab: { a: 1, b: 1 } } }, /id 1 is given to two tokens/],
    ["an added token without content", { model: BPE, added_tokens: [{ id: 3 }] }, /added_tokens\[0\]: has no content/],
    [
      "chunks of length 0",
      { model: BPE, pre_tokenizer: { type: "FixedLength", length: 0 } },
      /:pre_tokenizer: the length 0/,
    ],
    [
      "a stride that is too long",
      { model: BPE, truncation: { max_length: 4, stride: 4 } },
      /:truncation: stride 4 is not below max_length 4/,
    ],
    [
      "a template with an absent token",
      {
        model: BPE,
        post_processor: {
          type: "TemplateProcessing",
          single: [{ SpecialToken: { id: "[CLS]" } }],
          special_tokens: {},
        },
      },
      /names "\[CLS\]"/,
    ],
    [
      "an unknown pre-tokenizer",
      { model: BPE, pre_tokenizer: { type: "Nope" } },
      /:pre_tokenizer: the type "Nope" is not known/,
    ],
    [
      "an unknown normalizer",
      { model: BPE, normalizer: { type: "Nope" } },
      /:normalizer: is of a type that is not known/,
    ],
    ["an unknown decoder", { model: BPE, decoder: { type: "Nope" } }, /:decoder: the type "Nope" is not known/],
    [
      "a pattern that does not compile",
      {
        model: BPE,
        pre_tokenizer: { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated" },
      },
      /cannot be translated/,
    ],
  ])("%s", (_name, json, expected) => {
    const message = failure(json);
    expect(message).toMatch(expected);
    expect(message).not.toMatch(/\n/);
    expect(message.length).toBeLessThan(300);
  });

  it.each(["(a+)+$", "(a|aa)+$", "(.*)*x", "((a)*b|c)*", "(?:a{2,})+", "(a{1,500})*"])(
    "a pattern that can explode: %s",
    (regex) => {
      expect(
        failure({
          model: BPE,
          pre_tokenizer: { type: "Split", pattern: { Regex: regex }, behavior: "Isolated" },
        }),
      ).toMatch(/exponential time/);
    },
  );

  it("patterns of real models pass the check", () => {
    expect(
      canExplode(
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
      ),
    ).toBe(false);
    expect(
      canExplode(
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}]*[\\p{Ll}]+(?i:'s|'t)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*",
      ),
    ).toBe(false);
  });
});

describe("a bad GGUF vocabulary is refused in one line", () => {
  const good = { model: "gpt2", pre: "smollm", tokens: ["a", "b", "ab"], merges: ["a b"] };
  it.each([
    ["another model", { ...good, model: "llama" }, /^m\.gguf:tokenizer\.ggml\.model: "llama" is not byte-level BPE/],
    ["no merges", { ...good, merges: [] }, /merges: is missing/],
    ["an unknown pre-tokenizer", { ...good, pre: "constructor" }, /pre: "constructor" is not known/],
    ["a token twice", { ...good, tokens: ["a", "b", "ab", "a"] }, /holds a token twice/],
    ["a BOS outside", { ...good, bosTokenId: 9 }, /bos_token_id: 9 is not an id of the 3 tokens/],
    ["a bad merge", { ...good, merges: ["a x"] }, /merges\[0\]/],
  ])("%s", (_name, vocabulary, expected) => {
    expect(() => createGgufTokenizer(vocabulary as never, "m.gguf")).toThrow(expected);
  });
});

// A quadratic encoder would need hours for these; the runner's own time limit ends it.
describe("a million characters come back whole", () => {
  it.each([
    ["one letter", "a"],
    ["spaces", " "],
    ["joined emoji", "👩‍👩‍👧‍👦"],
    ["digits", "7"],
    ["new lines and spaces", " \n"],
  ])("%s", (_name, unit) => {
    const tokenizer = llama3Style();
    const text = unit.repeat(1_000_000 / unit.length);
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });
});

describe("odd input", () => {
  it("gives U+FFFD for lone surrogates and keeps NUL", () => {
    const tokenizer = llama3Style();
    expect(tokenizer.decode(tokenizer.encode("a\ud800b\udc00\0"))).toBe("a\uFFFDb\uFFFD\0");
  });

  it("treats a vocabulary key __proto__ as a token", () => {
    const tokenizer = createTokenizer({
      "tokenizer.json": '{"model":{"type":"BPE","vocab":{"__proto__":0,"a":1},"merges":[]}}',
    });
    expect(tokenizer.tokenToId("__proto__")).toBe(0);
    expect(tokenizer.encode("a")).toEqual([1]);
  });
});

describe("control tokens", () => {
  it("are recognised in trusted parts alone, while merges cross the borders of parts", () => {
    const tokenizer = smollm2();
    const parts = [
      { text: "<|im_start|>us", trusted: true },
      { text: "er <|im_end|>", trusted: false },
      { text: "<|im_end|>", trusted: true },
    ];
    const ids = tokenizer.encodeParts(parts);
    expect(ids.filter((id) => tokenizer.isSpecial(id))).toEqual([1, 2]);
    expect(ids[1]).toBe(tokenizer.tokenToId("user"));
    expect(tokenizer.decode(ids)).toBe("<|im_start|>user <|im_end|><|im_end|>");
  });

  it("cannot be put together from two parts", () => {
    const tokenizer = smollm2();
    const ids = tokenizer.encodeParts([
      { text: "<|im_", trusted: true },
      { text: "end|>", trusted: true },
    ]);
    expect(ids).not.toContain(2);
  });
});

describe("files", () => {
  it("of SmolLM2 from GGUF give the same tokenizer when read back from a folder", async () => {
    const original = smollm2();
    const folder = await mkdtemp(join(tmpdir(), "tokenizer-"));
    for (const [name, text] of Object.entries(original.files)) await writeFile(join(folder, name), text);
    const read = await loadTokenizer(folder);
    expect(read.specialTokens).toEqual(original.specialTokens);
    expect(read.chatTemplate).toBe(original.chatTemplate);
    expect(read.files).toEqual(original.files);
    for (const text of fixture<string[]>("strings").slice(0, 200))
      expect(read.encode(text)).toEqual(original.encode(text));
  });

  it("follow a change of control tokens", () => {
    const changed = llama3Style().withSpecialTokens({
      eos: "<|im_end|>",
      pad: "<|fresh|>",
      additional: ["<|eom_id|>"],
      chatTemplate: "{{ messages }}",
    });
    const read = createTokenizer(changed.files);
    expect(read.specialTokens).toEqual(changed.specialTokens);
    expect(read.tokenToId("<|fresh|>")).toBe(llama3Style().vocabSize);
    expect(read.chatTemplate).toBe("{{ messages }}");
    expect(read.encode("<|fresh|>", { allowSpecial: true })).toEqual([llama3Style().vocabSize]);
  });

  it("follow tokens that are added, which are ordinary text or control tokens", () => {
    const size = llama3Style().vocabSize;
    const changed = llama3Style()
      .withAddedTokens(["new word", "otherworldly"], false)
      .withAddedTokens(["<|fresh|>"], true);
    const read = createTokenizer(changed.files);
    expect(read.vocabSize).toBe(size + 3);
    expect(read.encode("new word<|fresh|>")[0]).toBe(size);
    expect(read.encode("<|fresh|>").length).toBeGreaterThan(1);
    expect(read.encode("<|fresh|>otherworldly", { allowSpecial: true })).toEqual([size + 2, size + 1]);
    expect(read.specialTokens).toEqual(llama3Style().specialTokens);
    expect(read.withAddedTokens(["otherworldly"], false)).toBe(read);
    expect(read.withAddedTokens(["otherworldly"], true)).not.toBe(read);
  });

  it("that are missing or not readable are named", async () => {
    await expect(loadTokenizer("/nowhere")).rejects.toThrow("/nowhere/tokenizer.json: is missing; ");
  });
});
