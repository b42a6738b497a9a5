// Named tensors in files, whatever the format: listed at once, read one at a time.
import {
  nameList,
  parseSafetensorsHeader,
  type SafetensorsHeader,
  safetensorsHeaderLength,
  UserError,
} from "@welltempered/formats";
import { type InputFile, openInput, type Scratch, shownPath } from "./io.ts";

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
  close(): void;
}

interface Located extends TensorInfo {
  read(scratch?: Scratch): Uint8Array;
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
  const plain = rest.map(
    (name) => [name, { ...source.info(name), read: (scratch?: Scratch) => source.read(name, scratch) }] as const,
  );
  return weightSource(source.path, new Map<string, Located>([...plain, ...joined]), () => source.close());
}

function missing(path: string, name: string): never {
  throw new UserError(`${shownPath(path)}: holds no tensor ${nameList([name])}; check that it is the right model`);
}

interface Opened {
  file: InputFile;
  header: SafetensorsHeader;
}

/** Opens a safetensors file and checks its header; `shown` names it in messages. */
function openHeader(path: string, shown: string): Opened {
  const file = openInput(path);
  try {
    const start = file.read(0, Math.min(8, file.size));
    const length = safetensorsHeaderLength(start, file.size, shown);
    return { file, header: parseSafetensorsHeader(file.read(0, 8 + length), file.size, shown) };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Tensors of one safetensors file, or of several that must not share a name. */
export function openSafetensors(path: string, files: readonly string[] = [path]): WeightSource {
  const opened: Opened[] = [];
  const close = (): void => {
    for (const { file } of opened) file.close();
  };
  try {
    const tensors = new Map<string, Located>();
    for (const part of files) {
      const shown = shownPath(part);
      const one = openHeader(part, shown);
      opened.push(one);
      addTensors(tensors, one, part);
    }
    return weightSource(path, tensors, close);
  } catch (error) {
    close();
    throw error;
  }
}

function addTensors(tensors: Map<string, Located>, { file, header }: Opened, path: string): void {
  const twice = [...header.tensors.keys()].filter((name) => tensors.has(name));
  if (twice.length > 0)
    throw new UserError(
      `${shownPath(path)}: ${twice.length} tensors are in another shard too: ${nameList(twice)}; fetch the model again`,
    );
  for (const [name, { dtype, shape, begin, end }] of header.tensors) {
    const read = (scratch?: Scratch): Uint8Array => file.read(begin, end - begin, scratch);
    tensors.set(name, { dtype: dtype.toLowerCase(), shape, file: path, read });
  }
}
