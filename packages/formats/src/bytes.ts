// How parsers here see a file: a size and a way to read a range. Nothing of Node, so the same code runs in a browser.

/** Bytes that can be read at any place: a file, a blob, a buffer. */
export interface ByteSource {
  readonly size: number;
  /** Exactly `length` bytes from `offset`; throws where the source ends earlier. */
  read(offset: number, length: number): Uint8Array;
}

/** A source over bytes in memory. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read(offset, length) {
      if (offset + length > bytes.length) throw new RangeError(`bytes ${offset}…${offset + length} of ${bytes.length}`);
      return bytes.subarray(offset, offset + length);
    },
  };
}
