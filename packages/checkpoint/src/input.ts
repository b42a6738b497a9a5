// What is read from, wherever it lies: a file of the disk (io.ts), or bytes that somebody handed over.
import { type ByteSource, bytesSource, printable, UserError } from "@welltempered/formats";

/** Longer reads get memory of their own: what lies here stays until V8 collects it, and nothing urges it to. */
const LARGEST = 2 ** 25;

/** Memory that one read after the other goes into: bytes in it last until the next. Fresh memory costs as much as reading. */
export class Scratch {
  #bytes = new Uint8Array();

  take(path: string, length: number): Uint8Array {
    if (length > LARGEST) return allocate(path, length);
    if (this.#bytes.length < length) this.#bytes = allocate(path, length);
    return this.#bytes.subarray(0, length);
  }
}

/** An open file. */
export interface InputFile extends ByteSource {
  readonly path: string;
  /** Its descriptor; undefined where it is not on the disk, or closed. */
  readonly fd: number | undefined;
  /** `length` bytes that are there: into memory of its own unless `scratch` is given. */
  read(offset: number, length: number, scratch?: Scratch): Uint8Array;
  close(): void;
}

/** A path as messages show it. */
export function shownPath(path: string): string {
  return printable(path, 120);
}

/** A file that is in memory already; `path` is for messages. */
export const inMemory = (path: string, bytes: Uint8Array): InputFile => ({
  path,
  fd: undefined,
  ...bytesSource(bytes),
  close: () => undefined,
});

/** Memory of its own, at offset 0; where Node is, not zeroed. */
export function allocate(path: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return typeof Buffer === "undefined" ? new Uint8Array(length) : Buffer.allocUnsafeSlow(length);
  } catch {
    throw new UserError(`${shownPath(path)}: ${length} bytes could not be had at once; free some memory`, 3);
  }
}
