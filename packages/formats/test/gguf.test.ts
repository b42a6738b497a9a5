// GGUF headers, vocabularies and configurations, good and hostile, written byte by byte: one table for one parser.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bytesSource,
  FormatsError,
  type FormatsErrorCode,
  type GgufHeader,
  llamaConfig,
  llamaTensorName,
  parseGguf,
  readGgufTokenizer,
  unpermuteRows,
  UserError,
} from "../src/index.ts";
import {
  buildGguf,
  Bytes,
  type Field,
  f32Field,
  i32sField,
  ids,
  type Spec,
  stringField,
  stringsField,
  type TensorRow,
  u32Field,
} from "./gguf-builder.ts";

const parse = (bytes: Uint8Array, dataRequired = true): GgufHeader =>
  parseGguf(bytesSource(bytes), "m.gguf", { dataRequired });

function code(bytes: Uint8Array, dataRequired = true): FormatsErrorCode | "accepted" {
  try {
    parse(bytes, dataRequired);
    return "accepted";
  } catch (error) {
    if (!(error instanceof FormatsError)) throw error;
    expect(error.message).toMatch(/^m\.gguf[^\n]*; [^\n]+$/);
    return error.code;
  }
}

const [F32, Q4_0, I8, I64] = [0, 2, 24, 27];
const f32 = (name: string, shape: number[], more: Partial<TensorRow> = {}): TensorRow => ({
  name,
  shape,
  type: F32,
  bytes: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)),
  ...more,
});
const kv: Field[] = [u32Field("my_key_0", 7), stringField("my_key_1", "text"), stringsField("my_key_2", ["a", "b"])];
const two = [f32("my_tensor_0", [3]), f32("my_tensor_1", [5, 2])];
const align = (value: number): Field => u32Field("general.alignment", value);
const withBytes = (fields: Field, numKeys = 1n): Spec => ({ fields: [fields], numKeys });

// The cases of llama.cpp's tests/test-gguf.cpp, by its names. "table" cases end after the tensor table there, so the
// data may be missing.
const rejected: [name: string, spec: Spec, code: FormatsErrorCode, dataRequired?: boolean][] = [
  ["header: bad magic", { magic: "FUGG" }, "GGUF_HEADER"],
  ["header: version 0", { version: 0 }, "GGUF_HEADER"],
  ["header: version 1", { version: 1 }, "GGUF_HEADER"],
  ["header: version of the future", { version: 4 }, "GGUF_HEADER"],
  ["header: 2^64-1 tensors", { numTensors: 2n ** 64n - 1n }, "GGUF_HEADER"],
  ["header: 2^64-1 keys", { numKeys: 2n ** 64n - 1n }, "GGUF_HEADER"],
  [
    "metadata: key length 2^64-1",
    withBytes((b) =>
      b
        .string("my_key_0", 2n ** 64n - 1n)
        .u32(ids.u32)
        .u32(1),
    ),
    "GGUF_HEADER",
  ],
  ["metadata: empty key", { fields: [u32Field("", 1)] }, "GGUF_METADATA"],
  ["metadata: unknown type", withBytes((b) => b.string("my_key_0").u32(13).raw([1])), "GGUF_METADATA"],
  ["metadata: duplicate key", { fields: [u32Field("my_key_0", 1), u32Field("my_key_0", 1)] }, "GGUF_METADATA"],
  ["metadata: alignment 13", { fields: [...kv, align(13)] }, "GGUF_METADATA"],
  [
    "metadata: alignment as i32",
    { fields: [(b) => b.string("general.alignment").u32(ids.i32).u32(32)] },
    "GGUF_METADATA",
  ],
  [
    "table: name of 64 bytes and more",
    { fields: kv, tensors: [f32(`my_tensor_0_${"x".repeat(60)}`, [3])] },
    "GGUF_HEADER",
    false,
  ],
  ["table: five dimensions", { fields: kv, tensors: [f32("my_tensor_0", [3], { rank: 5 })] }, "GGUF_TENSOR", false],
  ["table: dimension -1", { fields: kv, tensors: [f32("my_tensor_0", [3], { shape: [-1n] })] }, "GGUF_TENSOR", false],
  [
    "table: element count overflows",
    { fields: kv, tensors: [f32("my_tensor_0", [3], { shape: [8589934588n, 8589934588n] })] },
    "GGUF_TENSOR",
    false,
  ],
  [
    "table: byte count overflows",
    { fields: kv, tensors: [{ name: "my_tensor_0", shape: [1533699200n, 1533699200n], type: I64 }] },
    "GGUF_TENSOR",
    false,
  ],
  ["table: unknown type", { fields: kv, tensors: [f32("my_tensor_0", [3], { type: 42 })] }, "GGUF_TENSOR", false],
  [
    "table: offset 2^64-1",
    { fields: kv, tensors: [f32("my_tensor_0", [3], { offset: 2n ** 64n - 1n })] },
    "GGUF_TENSOR",
    false,
  ],
  ["table: duplicate name", { fields: kv, tensors: [two[0]!, f32("my_tensor_0", [3])] }, "GGUF_TENSOR", false],
  ["table: alignment 13", { fields: [align(13)], tensors: two, alignment: 13 }, "GGUF_METADATA", false],
  ["table: offsets of another alignment", { fields: kv, tensors: two, alignment: 1 }, "GGUF_TENSOR", false],
  ["data: one byte short", { fields: kv, tensors: two, cut: 1 }, "GGUF_DATA"],
  ["data: alignment 13", { fields: [align(13)], tensors: two, alignment: 13 }, "GGUF_METADATA"],
  ["data: offsets of another alignment", { fields: kv, tensors: two, alignment: 1 }, "GGUF_TENSOR"],
  [
    "data: total size overflows",
    {
      fields: kv,
      tensors: [0, 1].map((i) => ({
        name: `my_tensor_${i}`,
        shape: [0x7fffffffffffffc0n],
        type: I8,
        bytes: new Uint8Array(16),
      })),
    },
    "GGUF_TENSOR",
  ],
];

const accepted: [name: string, spec: Spec, dataRequired?: boolean][] = [
  ["header: empty", {}],
  ["metadata: keys", { fields: kv }],
  ["table: a zero dimension", { fields: kv, tensors: [f32("my_tensor_0", [3, 0])] }, false],
  ["table: tensors", { fields: kv, tensors: two, noData: true }, false],
  ["table: alignment 1", { fields: [...kv, align(1)], tensors: two, alignment: 1, noData: true }, false],
  ["data: tensors", { fields: kv, tensors: two }],
  ["data: alignment 1", { fields: [...kv, align(1)], tensors: two, alignment: 1 }],
];

// Checklist C2 and the published overflows.
const hostile: [name: string, bytes: Uint8Array, code: FormatsErrorCode][] = [
  [
    "string length 2^64-1",
    buildGguf(
      withBytes((b) =>
        b
          .string("k")
          .u32(ids.string)
          .string("x", 2n ** 64n - 1n),
      ),
    ),
    "GGUF_HEADER",
  ],
  [
    "string longer than 10 MB",
    buildGguf(withBytes((b) => b.string("k").u32(ids.string).string("x", 10_000_001n).raw(new Uint8Array(10_000_001)))),
    "GGUF_HEADER",
  ],
  [
    "array length 2^64-1",
    buildGguf(
      withBytes((b) =>
        b
          .string("k")
          .u32(ids.array)
          .u32(ids.u8)
          .u64(2n ** 64n - 1n),
      ),
    ),
    "GGUF_HEADER",
  ],
  [
    "array of 10^6 strings in a short file",
    buildGguf(withBytes((b) => b.string("k").u32(ids.array).u32(ids.string).u64(1_000_000))),
    "GGUF_HEADER",
  ],
  [
    "arrays nested five deep",
    buildGguf(withBytes((b) => b.string("k").u32(ids.array).raw(nestedArrays(5)))),
    "GGUF_METADATA",
  ],
  ["alignment 0", buildGguf({ fields: [align(0)] }), "GGUF_METADATA"],
  ["alignment 2^31", buildGguf({ fields: [align(2 ** 31)] }), "GGUF_METADATA"],
  ["alignment as a string", buildGguf({ fields: [stringField("general.alignment", "32")] }), "GGUF_METADATA"],
  [
    "dimension 2^63-3 (its padding wraps to 0)",
    buildGguf({ tensors: [{ name: "t", shape: [2n ** 63n - 3n], type: I8 }] }),
    "GGUF_TENSOR",
  ],
  [
    "byte count of quantised blocks wraps",
    buildGguf({ tensors: [{ name: "t", shape: [2n ** 32n, 2n ** 32n, 2n ** 32n], type: Q4_0 }] }),
    "GGUF_TENSOR",
  ],
  [
    "row that is no whole number of blocks",
    buildGguf({ tensors: [{ name: "t", shape: [33], type: Q4_0 }] }),
    "GGUF_TENSOR",
  ],
  ["tensor that ends after the file", buildGguf({ tensors: [{ name: "t", shape: [1000], type: F32 }] }), "GGUF_DATA"],
  ["big-endian file", buildGguf({ version: 0x03000000 }), "GGUF_HEADER"],
  ["empty file", new Uint8Array(), "GGUF_HEADER"],
];

function nestedArrays(depth: number): Uint8Array {
  const b = new Bytes();
  for (let i = 1; i < depth; i++) b.u32(ids.array).u64(1);
  return b.u32(ids.u8).u64(1).raw([1]).done();
}

describe("the GGUF header", () => {
  it.each(rejected)("rejects %s", (_, spec, wanted, dataRequired) =>
    expect(code(buildGguf(spec), dataRequired)).toBe(wanted),
  );
  it.each(accepted)("accepts %s", (_, spec, dataRequired) =>
    expect(code(buildGguf(spec), dataRequired)).toBe("accepted"),
  );
  it.each(hostile)("rejects %s", (_, bytes, wanted) => expect(code(bytes)).toBe(wanted));

  it("covers the 26 rejected and 7 accepted files of llama.cpp's test", () => {
    expect([rejected.length, accepted.length]).toEqual([26, 7]);
  });

  it("does not divide by a zero dimension", () => {
    const header = parse(buildGguf({ tensors: [{ name: "t", shape: [0, 5], type: Q4_0 }] }));
    expect(header.tensors.get("t")).toMatchObject({ shape: [5, 0] });
  });

  it("reads every metadata type with its value", () => {
    const scalars: [keyof typeof ids, number[], unknown][] = [
      ["u8", [200], 200],
      ["i8", [200], -56],
      ["u16", [1, 2], 513],
      ["i16", [255, 255], -1],
      ["u32", [255, 255, 255, 255], 4294967295],
      ["i32", [254, 255, 255, 255], -2],
      ["f32", [0, 0, 192, 63], 1.5],
      ["bool", [1], true],
      ["u64", [255, 255, 255, 255, 255, 255, 255, 255], 18446744073709551615n],
      ["i64", [255, 255, 255, 255, 255, 255, 255, 255], -1],
      ["f64", [0, 0, 0, 0, 0, 0, 248, 63], 1.5],
    ];
    const fields = scalars.map(
      ([type, bytes]): Field =>
        (b) =>
          b.string(type).u32(ids[type]).raw(bytes),
    );
    const nested: Field = (b) => b.string("nested").u32(ids.array).raw(nestedArrays(3));
    const { metadata } = parse(buildGguf({ fields: [...fields, ...kv, nested] }));
    for (const [type, , value] of scalars) expect(metadata.get(type)).toEqual({ type, value });
    expect(metadata.get("my_key_2")).toEqual({ type: "array", itemType: "string", value: ["a", "b"] });
    expect(metadata.get("nested")).toEqual({ type: "array", itemType: "array", value: [[[1]]] });
  });

  it("keeps hostile names as data", () => {
    const { metadata, tensors } = parse(
      buildGguf({ fields: [u32Field("__proto__", 1)], tensors: [f32("__proto__", [1]), f32("../../x", [1])] }),
    );
    expect([...metadata.keys(), ...tensors.keys()]).toEqual(["__proto__", "__proto__", "../../x"]);
    expect(() => parse(buildGguf({ tensors: [f32("a\u001b[31m\nerror: b", [3], { type: 42 })] }))).toThrow(
      "a\\u001b[31m\\u000aerror: b",
    );
  });

  it("never throws anything but a UserError on damaged files", () => {
    const good = buildGguf({ fields: kv, tensors: two });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.nat(good.length),
        (edits, cut) => {
          const bytes = good.slice(0, good.length - (cut % 3 === 0 ? cut : 0));
          for (const [at, value] of edits) bytes[at] = value;
          try {
            parse(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(UserError);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});

const tokens = ["<s>", "</s>", "a", "b", "ab"];
const vocabulary: Field[] = [
  stringField("tokenizer.ggml.model", "gpt2"),
  stringsField("tokenizer.ggml.tokens", tokens),
  i32sField("tokenizer.ggml.token_type", [3, 3, 1, 1, 1]),
  stringsField("tokenizer.ggml.merges", ["a b"]),
];
const readTokenizer = (fields: Field[]): unknown =>
  readGgufTokenizer({ file: "m.gguf", metadata: parse(buildGguf({ fields })).metadata });
const without = (key: number, ...more: Field[]): Field[] => [...vocabulary.filter((_, i) => i !== key), ...more];

describe("the tokenizer in a GGUF file", () => {
  it("is read as it stands", () => {
    expect(
      readTokenizer([
        ...vocabulary,
        u32Field("tokenizer.ggml.bos_token_id", 0),
        stringField("tokenizer.chat_template", "{{ x }}"),
      ]),
    ).toMatchObject({
      model: "gpt2",
      tokens,
      tokenTypes: [3, 3, 1, 1, 1],
      merges: ["a b"],
      bosTokenId: 0,
      eosTokenId: undefined,
      chatTemplate: "{{ x }}",
    });
    expect(readTokenizer([u32Field("x", 1)])).toBeUndefined();
  });

  const u8Scores: Field = (b) =>
    b.string("tokenizer.ggml.scores").u32(ids.array).u32(ids.u8).u64(5).raw([1, 2, 3, 4, 5]);
  it.each<[string, Field[], string]>([
    ["scores as u8", without(-1, u8Scores), "tokenizer.ggml.scores: is an array of u8, not an array of f32"],
    [
      "a byte token <0x-1>",
      [
        vocabulary[0]!,
        stringsField("tokenizer.ggml.tokens", ["a", "<0x-1>"]),
        i32sField("tokenizer.ggml.token_type", [1, 6]),
        vocabulary[3]!,
      ],
      '"<0x-1>"',
    ],
    ["no merges", without(3), "tokenizer.ggml.merges: is missing"],
    ["a merge of one part", without(3, stringsField("tokenizer.ggml.merges", ["ab"])), "not two parts"],
    ["too few token types", without(2, i32sField("tokenizer.ggml.token_type", [1])), "has 1 entries for 5 tokens"],
    [
      "an id outside the vocabulary",
      without(-1, u32Field("tokenizer.ggml.eos_token_id", 5)),
      "is 5 in a vocabulary of 5",
    ],
    ["tokens that are no strings", without(1, i32sField("tokenizer.ggml.tokens", [1])), "not an array of string"],
  ])("is refused with %s", (_, fields, text) => {
    expect(() => readTokenizer(fields)).toThrow(text);
    expect(() => readTokenizer(fields)).toThrow(UserError);
  });
});

const llama = (more: Field[] = [], omit = ""): Field[] => [
  ...(
    [
      ["embedding_length", 64],
      ["attention.head_count", 4],
      ["attention.head_count_kv", 2],
      ["feed_forward_length", 96],
      ["block_count", 1],
      ["context_length", 512],
      ["vocab_size", 10],
      ["rope.dimension_count", 16],
    ] as [string, number][]
  )
    .filter(([key]) => key !== omit)
    .map(([key, value]) => u32Field(`llama.${key}`, value)),
  stringField("general.architecture", "llama"),
  f32Field("llama.attention.layer_norm_rms_epsilon", 0.5),
  ...more,
];
const configOf = (fields: Field[], factors?: Float32Array, tensors: TensorRow[] = []): unknown =>
  llamaConfig(parse(buildGguf({ fields, tensors })), "m.gguf", factors);

describe("a llama GGUF in Hugging Face's terms", () => {
  it("has the config of LlamaConfig", () => {
    expect({ ...(configOf(llama()) as object) }).toEqual({
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
      hidden_act: "silu",
      hidden_size: 64,
      intermediate_size: 96,
      num_hidden_layers: 1,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 16,
      max_position_embeddings: 512,
      vocab_size: 10,
      rms_norm_eps: 0.5,
      rope_theta: 10000,
      attention_bias: false,
      mlp_bias: false,
      tie_word_embeddings: true,
    });
    expect(configOf(llama(), undefined, [f32("output.weight", [1])])).toMatchObject({ tie_word_embeddings: false });
  });

  it("has its linear RoPE scaling", () => {
    expect(
      configOf(llama([stringField("llama.rope.scaling.type", "linear"), f32Field("llama.rope.scaling.factor", 4)])),
    ).toMatchObject({ rope_scaling: { rope_type: "linear", factor: 4 } });
    expect(configOf(llama([stringField("llama.rope.scaling.type", "none")]))).not.toHaveProperty("rope_scaling");
  });

  // Divisors by convert_hf_to_gguf.py's loop in Python for theta 500000, head size 128, factor 8, low 1, high 4, length 8192.
  it("recognises Llama 3's RoPE scaling by its frequency divisors", () => {
    const divisors = new Float32Array(64);
    for (let i = 0; i < 64; i++) {
      const wavelength = (2 * Math.PI) / (1 / 500000 ** ((2 * i) / 128));
      const smooth = (8192 / wavelength - 1) / (4 - 1);
      divisors[i] = wavelength < 8192 / 4 ? 1 : wavelength > 8192 ? 8 : 1 / ((1 - smooth) / 8 + smooth);
    }
    const fields = [
      ...llama([f32Field("llama.rope.freq_base", 500000)], "rope.dimension_count"),
      u32Field("llama.attention.key_length", 128),
    ];
    expect(configOf(fields, divisors)).toMatchObject({
      head_dim: 128,
      rope_scaling: {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 8192,
      },
    });
    divisors[20] = 3;
    expect(() => configOf(fields, divisors)).toThrow("not Llama 3's");
  });

  it.each<[string, Field[], string]>([
    ["another architecture", [stringField("general.architecture", "qwen2")], 'architecture "qwen2" is not supported'],
    ["no architecture", [], "general.architecture: is missing"],
    ["no layers given", llama([], "block_count"), "llama.block_count: is missing"],
    [
      "heads that do not divide",
      llama([u32Field("llama.attention.head_count_kv", 3)], "attention.head_count_kv"),
      "do not divide",
    ],
    ["experts", llama([u32Field("llama.expert_count", 8)]), "mixture of experts"],
    ["a partial rotation", llama([u32Field("llama.attention.key_length", 32)]), "rotates 16 of 32 channels"],
  ])("is refused with %s", (_, fields, text) => expect(() => configOf(fields)).toThrow(text));

  it("names its tensors as transformers does", () => {
    expect(
      [
        "token_embd.weight",
        "blk.12.attn_q.weight",
        "blk.0.ffn_down.weight",
        "blk.3.ffn_norm.weight",
        "blk.1.attn_k.bias",
        "output_norm.weight",
        "output.weight",
        "blk.01.attn_q.weight",
        "blk.0.attn_rot_embd.weight",
      ].map(llamaTensorName),
    ).toEqual([
      "model.embed_tokens.weight",
      "model.layers.12.self_attn.q_proj.weight",
      "model.layers.0.mlp.down_proj.weight",
      "model.layers.3.post_attention_layernorm.weight",
      "model.layers.1.self_attn.k_proj.bias",
      "model.norm.weight",
      "lm_head.weight",
      undefined,
      undefined,
    ]);
  });

  // np.arange(12).reshape(2, 3, 2).swapaxes(1, 2).reshape(12) after the converter's inverse: two heads of six rows.
  it("undoes the converter's interleaving of rows", () => {
    const stored = Uint8Array.from([0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
    expect([...unpermuteRows(stored, 12, 2)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });
});
