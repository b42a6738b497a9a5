import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBackend } from "@welltempered/kernels";
import { describe, expect, it } from "vitest";
import { checkWeights, loadTensor, openModel, openSafetensors, readModelFolder, Scratch } from "../src/index.ts";
import { f32, fileOf, folderOf, refusal } from "./scratch.ts";

const config = '{"architectures":["LlamaForCausalLM"],"model_type":"llama"}';
const weights = fileOf(f32("a", [2]), f32("b", [1, 3]));
const index = (map: Record<string, unknown>): string => JSON.stringify({ metadata: {}, weight_map: map });
const shards = { "s1.safetensors": fileOf(f32("a", [2], 5)), "s2.safetensors": fileOf(f32("b", [1, 3])) };
const sharded = (map: Record<string, unknown>, files: Record<string, Uint8Array> = shards): string =>
  folderOf({ "config.json": config, "model.safetensors.index.json": index(map), ...files });

describe("a model folder", () => {
  it("gives config, tokenizer files and tensors of one file", () => {
    const folder = folderOf({
      "config.json": config,
      "generation_config.json": '{"eos_token_id":2}',
      "tokenizer.json": "{}",
      "model.safetensors": weights,
    });
    const model = openModel(folder);
    expect(model.config["model_type"]).toBe("llama");
    expect(Object.getPrototypeOf(model.config)).toBeNull();
    expect(model.generationConfig).toMatchObject({ eos_token_id: 2 });
    expect(model.tokenizer).toEqual({
      kind: "folder",
      path: folder,
      files: new Map([["tokenizer.json", join(folder, "tokenizer.json")]]),
    });
    expect(model.weights.names()).toEqual(["a", "b"]);
    expect(model.weights.info("b")).toMatchObject({ dtype: "f32", shape: [1, 3] });
    expect([...new Float32Array(model.weights.read("a").slice().buffer)]).toEqual([1, 1]);
    model.weights.close();
  });

  it("reads one tensor after the other into the same memory where it is given some", () => {
    const { weights: source } = openModel(
      folderOf({ "config.json": config, "model.safetensors": fileOf(f32("a", [2], 3), f32("b", [1, 3], 4)) }),
    );
    const scratch = new Scratch();
    const values = (bytes: Uint8Array): number[] => [...new Float32Array(Uint8Array.from(bytes).buffer)];
    const b = source.read("b", scratch);
    expect(values(b)).toEqual([4, 4, 4]);
    const a = source.read("a", scratch);
    expect(values(a)).toEqual([3, 3]);
    expect(a.buffer).toBe(b.buffer);
    expect(values(source.read("b"))).toEqual([4, 4, 4]);
    expect(values(a)).toEqual([3, 3]);
    source.close();
  });

  it("gives the tensors of shards", () => {
    const source = readModelFolder(sharded({ a: "s1.safetensors", b: "s2.safetensors" })).weights;
    expect(source.names().sort()).toEqual(["a", "b"]);
    expect([...new Float32Array(source.read("a").slice().buffer)]).toEqual([5, 5]);
    source.close();
  });

  it("that is missing, empty, a file or without config.json is refused", async () => {
    expect(await refusal(() => openModel("/nowhere/at/all"))).toContain("/nowhere/at/all: does not exist");
    expect(await refusal(() => openModel(folderOf()))).toContain("is an empty folder");
    expect(await refusal(() => openModel(join(folderOf({ x: "x" }), "x")))).toContain(
      "/x: is a file; give a model folder or a .gguf file",
    );
    expect(await refusal(() => openModel(folderOf({ "model.safetensors": weights })))).toContain(
      "holds no config.json",
    );
    expect(await refusal(() => openModel(folderOf({ "adapter_config.json": "{}" })))).toContain(
      "give it as adapter_name_or_path",
    );
  });

  it.each<[string, string | Uint8Array, string]>([
    ["truncated", '{"architectures":["Llama', "config.json:1:25: the text ends inside a string"],
    ["with a byte order mark", `\ufeff${config}`, "config.json:1:1: starts with a byte order mark"],
    ["of 50 MB", new Uint8Array(50_000_000), "50000000 bytes, more than the 10000000 allowed"],
    ["with a duplicate key", '{"a":1,\n"a":2}', 'config.json:2:1: key "a" occurs twice'],
    ["with an array at the top", "[1]", "config.json:1: holds an array"],
    ["in UTF-16", new Uint8Array(Buffer.from(config, "utf16le")), "config.json:1:2"],
    ["that is empty", "", "config.json:1:1: expected a value"],
  ])("with a config.json %s is refused by place", async (_, text, message) => {
    expect(await refusal(() => openModel(folderOf({ "config.json": text, "model.safetensors": weights })))).toContain(
      message,
    );
  });

  it("never runs the Python it holds", () => {
    const folder = folderOf({
      "config.json": '{"auto_map":{"AutoModel":"modeling_x.M"}}',
      "model.safetensors": weights,
    });
    writeFileSync(join(folder, "modeling_x.py"), `open(${JSON.stringify(join(folder, "canary"))}, "w")`);
    readModelFolder(folder).weights.close();
    expect(existsSync(join(folder, "canary"))).toBe(false);
  });

  it.each(["pytorch_model.bin", "model.pt", "x.ckpt"])("with only %s is refused: pickle is not read", async (name) => {
    expect(await refusal(() => openModel(folderOf({ "config.json": config, [name]: "x" })))).toContain(
      `only ${name}, and pickle is not read; convert to safetensors`,
    );
  });

  it("without weights is refused", async () => {
    expect(await refusal(() => openModel(folderOf({ "config.json": config })))).toContain("no model.safetensors");
  });

  it.each([
    "../../x.safetensors",
    "/etc/passwd",
    "C:\\x",
    "a\u0000b",
    "sub/x.safetensors",
    "..",
    ".hidden.safetensors",
    "x.bin",
    "",
  ])("refuses a shard named %j", async (name) => {
    expect(await refusal(() => readModelFolder(sharded({ a: name })))).toContain(
      "not the name of a .safetensors file of this folder",
    );
  });

  it("refuses a shard that is no text", async () => {
    expect(await refusal(() => readModelFolder(sharded({ a: 5 })))).toContain('"number"');
  });

  it("refuses symbolic links out of the folder, but follows those of the Hugging Face cache", async () => {
    const outside = folderOf({ "w.safetensors": weights });
    const folder = folderOf({ "config.json": config });
    symlinkSync(join(outside, "w.safetensors"), join(folder, "model.safetensors"));
    expect(await refusal(() => readModelFolder(folder))).toContain(
      "model.safetensors: is a symbolic link out of the model folder",
    );
    const cache = folderOf({}, "models--org--name");
    for (const sub of ["blobs", "snapshots/abc"]) mkdirSync(join(cache, sub), { recursive: true });
    writeFileSync(join(cache, "blobs/1"), config);
    writeFileSync(join(cache, "blobs/2"), weights);
    symlinkSync("../../blobs/1", join(cache, "snapshots/abc/config.json"));
    symlinkSync("../../blobs/2", join(cache, "snapshots/abc/model.safetensors"));
    const model = readModelFolder(join(cache, "snapshots/abc"));
    expect(model.weights.names()).toEqual(["a", "b"]);
    model.weights.close();
  });

  it("refuses an index that does not fit its shards", async () => {
    expect(await refusal(() => readModelFolder(sharded({ a: "s1.safetensors", b: "s3.safetensors" })))).toContain(
      "names s3.safetensors, which is not there",
    );
    expect(
      await refusal(() => readModelFolder(sharded({ a: "s1.safetensors", b: "s2.safetensors", c: "s2.safetensors" }))),
    ).toContain("1 tensors are in the index but in no shard: c");
    expect(
      await refusal(() =>
        readModelFolder(
          sharded(
            { a: "s1.safetensors", b: "s2.safetensors" },
            { ...shards, "s2.safetensors": fileOf(f32("b", [1]), f32("extra", [1])) },
          ),
        ),
      ),
    ).toContain("1 tensors are in a shard but not in the index: extra");
    expect(
      await refusal(() =>
        readModelFolder(
          sharded(
            { a: "s1.safetensors", b: "s2.safetensors" },
            { ...shards, "s2.safetensors": fileOf(f32("a", [2]), f32("b", [1])) },
          ),
        ),
      ),
    ).toContain("1 tensors are in another shard too: a");
    expect(await refusal(() => readModelFolder(sharded({ a: "s2.safetensors", b: "s1.safetensors" })))).toContain(
      "2 tensors are in another shard than the index says: a, b",
    );
    expect(
      await refusal(() =>
        readModelFolder(folderOf({ "config.json": config, "model.safetensors.index.json": '{"weight_map":[]}' })),
      ),
    ).toContain("weight_map: is missing or not an object");
  });

  it("whose file is cut short after it was opened gives an error, not a crash", async () => {
    const folder = folderOf({ "config.json": config, "model.safetensors": fileOf(f32("a", [100_000])) });
    const { weights: source } = readModelFolder(folder);
    truncateSync(join(folder, "model.safetensors"), 1000);
    expect(await refusal(() => source.read("a"))).toContain("was cut short to 1000 bytes while it was read");
    source.close();
  });

  it("is read by the kernels themselves, and a file cut short then is the same error", async () => {
    const numbers = Float32Array.from({ length: 100_000 }, (_, i) => i);
    const a = { ...f32("a", [100_000]), bytes: new Uint8Array(numbers.buffer) };
    const folder = folderOf({ "config.json": config, "model.safetensors": fileOf(a) });
    const { weights: source } = readModelFolder(folder);
    const backend = openBackend({ device: "cpu", threads: 1 });
    const unread = { ...source, read: () => expect.fail("read through JavaScript") };
    const loaded = await backend.read(loadTensor(backend, unread, "a"));
    expect(new Float32Array(loaded.buffer)).toEqual(numbers);
    truncateSync(join(folder, "model.safetensors"), 1000);
    expect(await refusal(() => loadTensor(backend, source, "a"))).toContain(
      "was cut short to 1000 bytes while it was read",
    );
    expect(backend.liveTensors()).toBe(1);
    source.close();
    expect(source.range("a")).toBeUndefined();
  });

  it("whose weights are a folder, a pipe or a device is refused at once", async () => {
    const folder = folderOf({ "config.json": config });
    mkdirSync(join(folder, "model.safetensors"));
    expect(await refusal(() => readModelFolder(folder))).toContain("is a folder; give a file");
    const pipe = join(folderOf(), "p");
    execFileSync("mkfifo", [pipe]);
    expect(await refusal(() => openSafetensors(pipe))).toContain("is not a regular file");
    expect(await refusal(() => openSafetensors("/dev/zero"))).toContain("is not a regular file");
  });

  it("prints names of tensors escaped", async () => {
    const source = openSafetensors(
      join(folderOf({ "m.safetensors": fileOf(f32("evil\u001b[2J\nerror: x", [1])) }), "m.safetensors"),
    );
    expect(await refusal(() => checkWeights(source, new Map()))).toContain("evil\\u001b[2J\\u000aerror: x");
    source.close();
  });
});

describe("the weights a model needs", () => {
  const open = (...tensors: Parameters<typeof fileOf>): ReturnType<typeof openSafetensors> =>
    openSafetensors(join(folderOf({ "m.safetensors": fileOf(...tensors) }), "m.safetensors"));
  const needed = (...names: string[]): Map<string, { shape: number[] }> =>
    new Map(names.map((name) => [name, { shape: [2] }]));

  it("are accepted when they fit, rotary buffers and a tied head aside", () => {
    const source = open(f32("a", [2]), f32("x.rotary_emb.inv_freq", [4]), f32("lm_head.weight", [2]));
    checkWeights(source, needed("a"), { optional: new Set(["lm_head.weight"]) });
    checkWeights(open(f32("a", [2])), needed("a", "lm_head.weight"), { optional: new Set(["lm_head.weight"]) });
  });

  it("are listed, five at most, when missing, unknown, of another shape or type", async () => {
    const many = Array.from({ length: 9 }, (_, i) => `t${i}`);
    expect(await refusal(() => checkWeights(open(f32("t8", [2])), needed(...many)))).toContain(
      "8 tensors are missing: t0, t1, t2, t3, t4 and 3 more",
    );
    expect(await refusal(() => checkWeights(open(f32("a", [2]), f32("b", [2])), needed("a")))).toContain(
      "1 tensor is not known to this architecture: b",
    );
    expect(await refusal(() => checkWeights(open(f32("a", [3])), needed("a")))).toContain(
      "1 tensor is of the wrong shape: a [3] instead of [2]",
    );
    expect(
      await refusal(() =>
        checkWeights(open({ name: "a", dtype: "I8", shape: [2], bytes: new Uint8Array(2) }), needed("a")),
      ),
    ).toContain("tensor a is I8; convert it to one of F32, BF16, F16");
  });
});
