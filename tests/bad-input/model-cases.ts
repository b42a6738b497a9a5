import { symlinkSync, truncateSync, writeFileSync } from "node:fs";
import type { Box } from "./box.ts";
import { family, type BadInput } from "./case.ts";
import { readTensors, safetensors, type Tensors } from "./safetensors.ts";

const missing: BadInput[] = [
  { id: "A1", what: "no model folder", spoil: (box) => box.remove("model"), says: /model/ },
  { id: "A1", what: "an empty model folder", spoil: emptyModel, says: /model: .*empty/ },
  { id: "A1", what: "no config.json", spoil: (box) => box.remove("model/config.json"), says: /config\.json/ },
  { id: "A1", what: "no weights", spoil: (box) => box.remove("model/model.safetensors"), says: /safetensors/ },
  { id: "A1", what: "a file where the folder should be", spoil: fileForFolder, says: /model/ },
  { id: "A7", what: "only pytorch_model.bin", spoil: onlyPickle("pytorch_model.bin"), says: /pickle|safetensors/ },
  { id: "A7", what: "only model.pt", spoil: onlyPickle("model.pt"), says: /pickle|safetensors/ },
  { id: "A7", what: "only last.ckpt", spoil: onlyPickle("last.ckpt"), says: /pickle|safetensors/ },
];

function emptyModel(box: Box): void {
  box.remove("model");
  box.write("model/x", "");
  box.remove("model/x");
}

function fileForFolder(box: Box): void {
  box.remove("model");
  box.write("model", "not a folder");
}

function onlyPickle(name: string): (box: Box) => void {
  return (box) => {
    box.remove("model/model.safetensors");
    box.write(`model/${name}`, "\u0080\u0002}q.");
  };
}

const texts = family<(good: string) => string | Uint8Array>(
  "A2",
  /model\/config\.json/,
  [
    ["config.json cut in the middle", (good) => good.slice(0, good.length / 2)],
    ["config.json with a byte order mark", (good) => `\ufeff${good}`],
    ["config.json with a byte order mark in UTF-16", (good) => Buffer.from(`\ufeff${good}`, "utf16le")],
    ["config.json with a key given twice", (good) => good.replace("{", '{"hidden_size": 8,')],
    ["config.json with an array at the top", (good) => `[${good}]`],
    ["an empty config.json", () => ""],
    ["config.json of 50 MB", (good) => good.replace("{", `{"x":"${"a".repeat(50e6)}",`)],
  ],
  (box, change) => box.write("model/config.json", change(box.read("model/config.json").toString())),
);

const fields = family<Record<string, unknown>>(
  "A4",
  /model/,
  [
    ["hidden_size 0", { hidden_size: 0 }],
    ["hidden_size -1", { hidden_size: -1 }],
    ["hidden_size 1e18", { hidden_size: 1e18 }],
    ['hidden_size "768"', { hidden_size: "768" }],
    ["heads that key heads do not divide", { num_key_value_heads: 4 }],
    ["heads that do not divide the width", { num_attention_heads: 7, head_dim: null, num_key_value_heads: 7 }],
    ["more words than embedding rows", { vocab_size: 401 }],
    ["a layer count of 1e9", { num_hidden_layers: 1e9 }],
  ],
  (box, changes) => box.config(changes),
);

const architecture: BadInput[] = [
  {
    id: "A3",
    what: "an unknown architecture",
    spoil: (box) => box.config({ architectures: ["EvilForCausalLM"], model_type: "evil" }),
    says: /Evil|evil/,
  },
];

/** Replaces the single weight file by shards and an index. */
function shard(box: Box, shards: Record<string, Tensors>, weightMap: Record<string, string>): void {
  box.remove("model/model.safetensors");
  for (const [name, tensors] of Object.entries(shards)) box.write(`model/${name}`, safetensors(tensors));
  box.write("model/model.safetensors.index.json", JSON.stringify({ metadata: {}, weight_map: weightMap }));
}

function wholeMap(tensors: Tensors, file: string): Record<string, string> {
  return Object.fromEntries([...tensors.keys()].map((name) => [name, file]));
}

const paths = family<string>(
  "A5",
  /model/,
  [
    ["a shard above the folder", "../../x.safetensors"],
    ["a shard at an absolute path", "/etc/passwd"],
    ["a shard on a Windows drive", "C:\\x"],
    ["a shard with a NUL in its name", "a\u0000b"],
    ["an empty shard name", ""],
  ],
  (box, path) => {
    const tensors = readTensors(box.read("model/model.safetensors"));
    shard(box, { "a.safetensors": tensors }, { ...wholeMap(tensors, "a.safetensors"), "model.norm.weight": path });
  },
);

const links: BadInput[] = [
  {
    id: "A5",
    what: "a weight file that is a link out of the folder",
    says: /model/,
    spoil: (box) => {
      box.write("elsewhere.safetensors", box.read("model/model.safetensors"));
      box.remove("model/model.safetensors");
      symlinkSync("../elsewhere.safetensors", box.path("model/model.safetensors"));
    },
  },
];

const oneTensor = "model.layers.0.self_attn.q_proj.weight";

const shards: BadInput[] = [
  {
    id: "A6",
    what: "an index that names a missing shard",
    says: /b\.safetensors/,
    spoil: (box) => withShards(box, (t, map) => [{ "a.safetensors": t }, { ...map, [oneTensor]: "b.safetensors" }]),
  },
  {
    id: "A6",
    what: "a shard with a tensor that is not in the index",
    says: /q_proj/,
    spoil: (box) => withShards(box, (t, map) => [{ "a.safetensors": t }, without(map, oneTensor)]),
  },
  {
    id: "A6",
    what: "a tensor in two shards",
    says: /q_proj|b\.safetensors/,
    spoil: (box) =>
      withShards(box, (t, map) => [
        { "a.safetensors": t, "b.safetensors": only(t, oneTensor) },
        { ...map, "model.norm.weight": "b.safetensors" },
      ]),
  },
  { id: "A6", what: "a missing tensor", says: /q_proj/, spoil: (box) => reweigh(box, (t) => void t.delete(oneTensor)) },
  {
    id: "A6",
    what: "an extra tensor",
    says: /extra\.weight/,
    spoil: (box) =>
      reweigh(box, (t) => void t.set("extra.weight", { dtype: "F32", shape: [1], bytes: new Uint8Array(4) })),
  },
  {
    id: "A6",
    what: "a wrong shape",
    says: /q_proj/,
    spoil: (box) =>
      reweigh(box, (t) => change(t, (shape) => [...shape].reverse().map((n, i) => (i === 0 ? n * 2 : n / 2)))),
  },
  {
    id: "A6",
    what: "a wrong dtype",
    says: /q_proj/,
    spoil: (box) => reweigh(box, (t) => change(t, (shape) => shape, "I32")),
  },
];

function withShards(
  box: Box,
  make: (tensors: Tensors, map: Record<string, string>) => [Record<string, Tensors>, Record<string, string>],
): void {
  const tensors = readTensors(box.read("model/model.safetensors"));
  shard(box, ...make(tensors, wholeMap(tensors, "a.safetensors")));
}

function reweigh(box: Box, edit: (tensors: Tensors) => void): void {
  const tensors = readTensors(box.read("model/model.safetensors"));
  edit(tensors);
  box.write("model/model.safetensors", safetensors(tensors));
}

function change(tensors: Tensors, shape: (old: number[]) => number[], dtype?: string): void {
  const tensor = tensors.get(oneTensor);
  if (tensor) tensors.set(oneTensor, { ...tensor, shape: shape(tensor.shape), dtype: dtype ?? tensor.dtype });
}

function without(map: Record<string, string>, key: string): Record<string, string> {
  return Object.fromEntries(Object.entries(map).filter(([name]) => name !== key));
}

function only(tensors: Tensors, name: string): Tensors {
  return new Map([...tensors].filter(([key]) => key === name));
}

const names = family<string>(
  "B4",
  /model\.safetensors/,
  [
    ["__proto__", "__proto__"],
    ["constructor", "constructor"],
    ["../../x", "../../x"],
    ["the empty name", ""],
  ],
  (box, name) => reweigh(box, (t) => void t.set(name, { dtype: "F32", shape: [1], bytes: new Uint8Array(4) })),
).map((entry) => ({ ...entry, what: `a tensor called ${entry.what}` }));

const twice: BadInput[] = [false, true].map((sameRange) => ({
  id: "B2",
  what: `a tensor given twice, ${sameRange ? "same range" : "two ranges"}`,
  says: /model\.safetensors/,
  spoil: (box) => {
    const second = sameRange ? "[0,4]" : "[4,8]";
    const entry = (range: string): string => `"a":{"dtype":"F32","shape":[1],"data_offsets":${range}}`;
    const header = Buffer.from(`{${entry("[0,4]")},${entry(second)}}`);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    box.write("model/model.safetensors", Buffer.concat([length, header, Buffer.alloc(sameRange ? 4 : 8)]));
  },
}));

const huge: BadInput[] = [
  {
    id: "B5",
    what: "a header of 200 MB",
    says: /model\.safetensors.*more than 100000000/,
    // Sparse: it is to be refused by its size alone.
    spoil: (box) => {
      box.write("model/model.safetensors", headerOf(200_000_000, '{"a":'));
      truncateSync(box.path("model/model.safetensors"), 200_000_008);
    },
  },
  {
    id: "B5",
    what: "a header of 97 MB with 1.65 million tensors on one range",
    says: /model\.safetensors.*more than 1000000 tensors/,
    within: 5000,
    spoil: (box) => {
      const entries = Array.from({ length: 1_650_000 }, (_, i) => `"t${String(i).padStart(7, "0")}":${emptyTensor}`);
      const header = `{${entries.join(",")}}`;
      box.write("model/model.safetensors", headerOf(header.length, header));
    },
  },
];

const emptyTensor = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}';

function headerOf(length: number, text: string): Buffer {
  const bytes = Buffer.alloc(8 + text.length);
  bytes.writeBigUInt64LE(BigInt(length));
  bytes.write(text, 8, "latin1");
  return bytes;
}

const cut: BadInput[] = [
  {
    id: "B6",
    what: "weights cut short",
    says: /model\.safetensors/,
    spoil: (box) => truncateSync(box.path("model/model.safetensors"), box.read("model/model.safetensors").length - 100),
  },
  {
    id: "B1",
    what: "weights of zero length",
    says: /model\.safetensors/,
    spoil: (box) => writeFileSync(box.path("model/model.safetensors"), ""),
  },
];

export const modelCases: readonly BadInput[] = [
  ...missing,
  ...texts,
  ...architecture,
  ...fields,
  ...paths,
  ...links,
  ...shards,
  ...twice,
  ...names,
  ...huge,
  ...cut,
];
