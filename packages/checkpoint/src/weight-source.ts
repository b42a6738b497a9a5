// Named tensors in files, whatever the format: listed at once, read one at a time.
import {
  nameList,
  parseSafetensorsHeader,
  type SafetensorsHeader,
  safetensorsHeaderLength,
  UserError,
} from "@welltempered/formats";
import type { FileRange } from "@welltempered/kernels";
import { type InputFile, type Scratch, shownPath } from "./input.ts";

/** How a tensor lies in its file: a dtype of safetensors or a block type of GGUF, in lower case ("f32", "bf16", "q4_1"). */
export type StoredDtype = string;

export interface TensorInfo {
  dtype: StoredDtype;
  shape: readonly number[];
  /** Path of the file that holds it. */
  file: string;
}

/** Tensors by Hugging Face name. */
export interface WeightSource {
  /** File or folder, for messages. */
  readonly path: string;
  names(): string[];
  has(name: string): boolean;
  /** Throws a UserError where there is no such tensor. */
  info(name: string): TensorInfo;
  /** Little-endian bytes as stored, perhaps in `scratch`. Throws a UserError where the file cannot be read any more. */
  read(name: string, scratch?: Scratch): Uint8Array;
  /** Where those bytes lie; undefined where they are put together from others, or in no file of the disk. */
  range(name: string): FileRange | undefined;
  close(): void;
}

export interface Located extends TensorInfo {
  read(scratch?: Scratch): Uint8Array;
  range?(): FileRange | undefined;
}

/** A source over tensors that know how to read themselves. */
export function weightSource(path: string, tensors: ReadonlyMap<string, Located>, close: () => void): WeightSource {
  const find = (name: string): Located => tensors.get(name) ?? missing(path, name);
  return {
    path,
    names: () => [...tensors.keys()],
    has: (name) => tensors.has(name),
    info(name) {
      const { dtype, shape, file } = find(name);
      return { dtype, shape, file };
    },
    read: (name, scratch) => find(name).read(scratch),
    range: (name) => find(name).range?.(),
    close,
  };
}

/** The source with `joined` in place of the tensors of these names and of `parts`. */
export function withJoined(
  source: WeightSource,
  joined: ReadonlyMap<string, Located>,
  parts: ReadonlySet<string>,
): WeightSource {
  const rest = source.names().filter((name) => !joined.has(name) && !parts.has(name));
  const plain = rest.map((name): [string, Located] => {
    const read = (scratch?: Scratch): Uint8Array => source.read(name, scratch);
    return [name, { ...source.info(name), read, range: () => source.range(name) }];
  });
  return weightSource(source.path, new Map<string, Located>([...plain, ...joined]), () => source.close());
}

/** Bytes of a file as they are stored. */
export const bytesAt = (file: InputFile, begin: number, end: number): Required<Pick<Located, "read" | "range">> => ({
  read: (scratch) => file.read(begin, end - begin, scratch),
  range: () => (file.fd === undefined ? undefined : { fd: file.fd, offset: begin, length: end - begin }),
});

function missing(path: string, name: string): never {
  throw new UserError(`${shownPath(path)}: holds no tensor ${nameList([name])}; check that it is the right model`);
}

interface Opened {
  file: InputFile;
  header: SafetensorsHeader;
}

function readHeader(file: InputFile): Opened {
  const shown = shownPath(file.path);
  const start = file.read(0, Math.min(8, file.size));
  const length = safetensorsHeaderLength(start, file.size, shown);
  return { file, header: parseSafetensorsHeader(file.read(0, 8 + length), file.size, shown) };
}

/** Tensors of safetensors files that must not share a name; asks for the next file where those before are right, and closes all. */
export function safetensorsSource(path: string, files: Iterable<InputFile>): WeightSource {
  const opened: InputFile[] = [];
  const close = (): void => {
    for (const file of opened) file.close();
  };
  try {
    const tensors = new Map<string, Located>();
    for (const file of files) {
      opened.push(file);
      addTensors(tensors, readHeader(file));
    }
    return weightSource(path, tensors, close);
  } catch (error) {
    close();
    throw error;
  }
}

function addTensors(tensors: Map<string, Located>, { file, header }: Opened): void {
  const twice = [...header.tensors.keys()].filter((name) => tensors.has(name));
  if (twice.length > 0)
    throw new UserError(
      `${shownPath(file.path)}: ${twice.length} tensors are in another shard too: ${nameList(twice)}; fetch the model again`,
    );
  for (const [name, { dtype, shape, begin, end }] of header.tensors) {
    tensors.set(name, { dtype: dtype.toLowerCase(), shape, file: file.path, ...bytesAt(file, begin, end) });
  }
}
