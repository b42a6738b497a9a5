import {
  readdirSync,
  readFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { openBackend } from "@welltempered/kernels";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  adapterConfigText,
  CheckpointError,
  loadTensor,
  modelCard,
  openSafetensors,
  readAdapterFolder,
  readModelFolder,
  removeLeftovers,
  type TensorToWrite,
  verifyManifest,
  writeAdapterFolder,
  writeFileAtomic,
  writeFolderAtomic,
  writeModelWeights,
  writeSafetensors,
} from "../src/index.ts";
import { f32, folderOf, refusal } from "./scratch.ts";

const fixture = (name: string): string => readFileSync(new URL(`../../../fixtures/${name}`, import.meta.url), "utf8");
const read = (...parts: string[]): string => readFileSync(join(...parts), "utf8");

describe("writing safetensors", () => {
  it("gives the bytes that Python's save_file gives", async () => {
    const written = JSON.parse(fixture("safetensors/written.json")) as {
      base64: string;
      tensors: Record<string, { shape: number[]; base64: string }>;
    };
    const dtypes: Record<string, TensorToWrite["dtype"]> = {
      "model.b": "F32",
      "model.a": "BF16",
      "é.scale": "F16",
      ids: "I64",
      mask: "BOOL",
      empty: "F32",
      'a\n"quoted"': "I8",
    };
    const tensors = Object.entries(written.tensors).map(([name, { shape, base64 }]): TensorToWrite => ({
      name,
      dtype: dtypes[name]!,
      shape,
      bytes: async () => new Uint8Array(Buffer.from(base64, "base64")),
    }));
    const folder = folderOf();
    await writeSafetensors(join(folder, "w.safetensors"), tensors);
    expect(readFileSync(join(folder, "w.safetensors")).toString("base64")).toBe(written.base64);
    expect(readdirSync(folder)).toEqual(["w.safetensors"]);
  });

  it("survives a round trip through a file and the backend for f32, bf16 and f16", async () => {
    const dtype = fc.constantFrom("F32" as const, "BF16" as const, "F16" as const);
    const spec = fc.record({ dtype, shape: fc.array(fc.nat(4), { minLength: 1, maxLength: 3 }), seed: fc.nat(255) });
    const backend = openBackend({ device: "reference" });
    const path = join(folderOf(), "r.safetensors");
    await fc.assert(
      fc.asyncProperty(fc.array(spec, { maxLength: 5 }), async (specs) => {
        const tensors = specs.map(({ dtype: type, shape, seed }, i) => {
          const size = shape.reduce((a, b) => a * b, 1) * (type === "F32" ? 4 : 2);
          return {
            name: `t${i}`,
            dtype: type,
            shape,
            bytes: Uint8Array.from({ length: size }, (_, at) => (at * 31 + seed) % 120),
          };
        });
        await writeSafetensors(path, tensors);
        const source = openSafetensors(path);
        for (const { name, dtype: type, shape, bytes } of tensors) {
          const slot = loadTensor(backend, source, name);
          expect([backend.dtype(slot), backend.shape(slot)]).toEqual([type.toLowerCase(), shape]);
          expect(Buffer.from(await backend.read(slot)).equals(Buffer.from(bytes))).toBe(true);
          backend.free(slot);
        }
        source.close();
      }),
      { numRuns: 25 },
    );
    expect(backend.liveTensors()).toBe(0);
  });

  it("refuses bytes that do not fill the shape, and leaves nothing behind", async () => {
    const folder = folderOf();
    const bad = { ...f32("a", [2]), bytes: new Uint8Array(7) };
    await expect(writeSafetensors(join(folder, "w.safetensors"), [bad])).rejects.toThrow(CheckpointError);
    await expect(writeSafetensors(join(folder, "w.safetensors"), [f32("a", [1]), f32("a", [1])])).rejects.toThrow(
      "twice: a",
    );
    expect(readdirSync(folder)).toEqual([]);
  });

  it("splits into the shards and index of huggingface_hub", async () => {
    const {
      shapes,
      max_bytes: max,
      index,
    } = JSON.parse(fixture("checkpoint/shards.json")) as {
      shapes: Record<string, number[]>;
      max_bytes: number;
      index: string;
    };
    const folder = folderOf({ "config.json": "{}" });
    const tensors = Object.entries(shapes).map(([name, shape], i) => f32(name, shape, i));
    const names = await writeModelWeights(folder, tensors, max);
    expect(read(folder, "model.safetensors.index.json")).toBe(index);
    expect(names).toEqual(readdirSync(folder).filter((name) => name !== "config.json"));
    const { weights } = readModelFolder(folder);
    for (const { name, bytes } of tensors)
      expect(Buffer.from(weights.read(name)).equals(Buffer.from(bytes))).toBe(true);
    weights.close();
    expect(await writeModelWeights(folderOf(), tensors, 5e9)).toEqual(["model.safetensors"]);
  });
});

describe("an adapter folder", () => {
  const config = JSON.parse(fixture("checkpoint/adapter_config.json")) as Record<string, unknown>;
  const tensors = [f32("base_model.model.q.lora_A.weight", [2, 3]), f32("base_model.model.q.lora_B.weight", [3, 2])];

  it("has the config text of peft, tensors and a model card, and reads back", async () => {
    const folder = join(folderOf(), "new/adapter");
    const readme = modelCard({ baseModel: "base", tags: ["lora"], library: "peft", title: "t", body: "b" });
    await writeAdapterFolder(folder, { config, tensors, readme });
    expect(read(folder, "adapter_config.json")).toBe(fixture("checkpoint/adapter_config.json"));
    expect(read(folder, "README.md")).toBe(
      '---\nbase_model: "base"\nlibrary_name: peft\npipeline_tag: text-generation\ntags:\n- "lora"\n---\n\n# t\n\nb\n',
    );
    const adapter = readAdapterFolder(folder);
    expect(adapter.config).toMatchObject({ peft_type: "LORA", r: 8, base_model_name_or_path: "base/möbius ☃" });
    expect(adapter.weights.names()).toEqual(tensors.map(({ name }) => name));
    adapter.weights.close();
  });

  it("writes a dropout of 0 as the float it is", () => {
    expect(adapterConfigText({ r: 8, lora_dropout: 0 })).toBe('{\n  "lora_dropout": 0.0,\n  "r": 8\n}');
  });

  it("without config, type or safetensors is refused", async () => {
    expect(await refusal(() => readAdapterFolder(folderOf({ x: "" })))).toContain("holds no adapter_config.json");
    expect(await refusal(() => readAdapterFolder(folderOf({ "adapter_config.json": "{}" })))).toContain(
      "peft_type: is missing",
    );
    expect(
      await refusal(() =>
        readAdapterFolder(folderOf({ "adapter_config.json": '{"peft_type":"LORA"}', "adapter_model.bin": "" })),
      ),
    ).toContain("only adapter_model.bin, and pickle is not read");
    expect(
      await refusal(() => readAdapterFolder(folderOf({ "adapter_config.json": '{"peft_type":"LORA"}' }))),
    ).toContain("no adapter_model.safetensors");
  });
});

describe("writing whole or not at all", () => {
  it("replaces a file and leaves no temporary one", async () => {
    const folder = folderOf({ "a.txt": "old" });
    await writeFileAtomic(join(folder, "a.txt"), "new ☃");
    expect(read(folder, "a.txt")).toBe("new ☃");
    expect(readdirSync(folder)).toEqual(["a.txt"]);
  });

  it("tells errors of the file system by path and exit code", async () => {
    expect(await refusal(() => writeFileAtomic("/dev/full/x", "x"))).toContain("leads through a file");
    expect(await refusal(() => writeFolderAtomic("/proc/nope", "x", async () => undefined))).toContain(
      "/proc/nope: does not exist",
    );
    for (const code of ["ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES", "ETXTBSY"]) {
      const throwing = async (): Promise<void> => Promise.reject(Object.assign(new Error("x"), { code }));
      const parent = folderOf();
      expect(await refusal(() => writeFolderAtomic(parent, "checkpoint-1", throwing), 3)).toContain("checkpoint-1: ");
      expect(readdirSync(parent)).toEqual([]);
    }
  });

  const fill = async (folder: string): Promise<void> => {
    mkdirSync(join(folder, "sub"));
    writeFileSync(join(folder, "weights.safetensors"), "weights");
    writeFileSync(join(folder, "sub/state.json"), "{}");
  };

  it("makes a checkpoint whose manifest names every file", async () => {
    const parent = folderOf();
    const path = await writeFolderAtomic(parent, "checkpoint-10", fill, { step: 10 });
    expect(path).toBe(join(parent, "checkpoint-10"));
    expect(readdirSync(parent)).toEqual(["checkpoint-10"]);
    const { files, facts } = verifyManifest(path);
    expect(facts).toMatchObject({ step: 10 });
    // By sha256sum.
    expect(files).toEqual([
      { name: "sub/state.json", size: 2, sha256: "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" },
      {
        name: "weights.safetensors",
        size: 7,
        sha256: "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c",
      },
    ]);
  });

  it("replaces an older checkpoint of the name, and keeps it where the new one fails", async () => {
    const parent = folderOf();
    await writeFolderAtomic(parent, "checkpoint-10", fill, { step: 10, run: 1 });
    await expect(
      writeFolderAtomic(parent, "checkpoint-10", async (folder) => {
        await fill(folder);
        throw new Error("stopped");
      }),
    ).rejects.toThrow("stopped");
    expect(verifyManifest(join(parent, "checkpoint-10")).facts).toMatchObject({ run: 1 });
    await writeFolderAtomic(parent, "checkpoint-10", fill, { step: 10, run: 2 });
    expect(verifyManifest(join(parent, "checkpoint-10")).facts).toMatchObject({ run: 2 });
    expect(readdirSync(parent)).toEqual(["checkpoint-10"]);
  });

  it.each(["../x", "a/b", "..", "."])("refuses the folder name %j", async (name) => {
    await expect(writeFolderAtomic(folderOf(), name, fill)).rejects.toThrow(CheckpointError);
  });

  it.each<[string, (path: string) => void, string]>([
    [
      "a flipped byte",
      (path) => writeFileSync(join(path, "weights.safetensors"), "weighTs"),
      "weights.safetensors: its content changed",
    ],
    [
      "a truncated file",
      (path) => truncateSync(join(path, "weights.safetensors"), 3),
      "weights.safetensors: 3 bytes instead of 7",
    ],
    ["an empty file", (path) => truncateSync(join(path, "sub/state.json"), 0), "sub/state.json: 0 bytes instead of 2"],
    [
      "a step of the manifest changed",
      (path) => {
        const manifest = join(path, "manifest.json");
        writeFileSync(manifest, readFileSync(manifest, "utf8").replace('"step": 10', '"step": 11'));
      },
      "manifest.json: its content changed",
    ],
    ["a missing manifest", (path) => writeFileSync(join(path, "manifest.json"), ""), "manifest.json:1:1"],
    [
      "a name that leaves the folder",
      (path) =>
        writeFileSync(
          join(path, "manifest.json"),
          `{"format_version":1,"files":[{"name":"../../etc/passwd","size":1,"sha256":"${"0".repeat(64)}"}]}`,
        ),
      "bad entry for ../../etc/passwd",
    ],
    [
      "a size of 1e18",
      (path) =>
        writeFileSync(
          join(path, "manifest.json"),
          `{"format_version":1,"files":[{"name":"x","size":1e18,"sha256":"${"0".repeat(64)}"}]}`,
        ),
      "bad entry for x",
    ],
    [
      "another version",
      (path) => writeFileSync(join(path, "manifest.json"), '{"format_version":2,"files":[]}'),
      "format_version: is 2",
    ],
  ])("names the damaged file of a checkpoint with %s", async (_, damage, message) => {
    const path = await writeFolderAtomic(folderOf(), "checkpoint-1", fill, { step: 10 });
    damage(path);
    expect(await refusal(() => verifyManifest(path))).toContain(message);
  });

  it("removes only what dead processes left, follows no links and touches nothing foreign", async () => {
    const parent = folderOf({ "mine.tmp-old": "x", "note.txt": "x" });
    const outside = folderOf({ "keep.txt": "x" });
    mkdirSync(join(parent, "checkpoint-5.tmp-999999999-0123abcd/sub"), { recursive: true });
    mkdirSync(join(parent, `checkpoint-6.tmp-${process.ppid}-0123abcd`));
    symlinkSync(outside, join(parent, "checkpoint-7.tmp-999999999-0123abcd"));
    expect(await removeLeftovers(parent)).toEqual(["checkpoint-5.tmp-999999999-0123abcd"]);
    expect(readdirSync(parent).length).toBe(4);
    expect(existsSync(join(outside, "keep.txt"))).toBe(true);
  });

  it.skipIf(process.getuid?.() === 0)("reports a read-only folder with exit code 3", async () => {
    const parent = folderOf();
    chmodSync(parent, 0o500);
    expect(await refusal(() => writeFolderAtomic(parent, "checkpoint-1", fill), 3)).toContain("may not be accessed");
  });
});
