import { type StreamDecoder } from "../types.ts";
import { byteLevelBytes } from "./byte-level.ts";

/** For byte-level vocabularies: bytes wait until they are whole characters. `tokenOf` gives undefined for what is left out. */
export function byteStream(tokenOf: (id: number) => string | undefined): StreamDecoder {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    push(id) {
      const token = tokenOf(id);
      return token === undefined ? "" : decoder.decode(byteLevelBytes(token), { stream: true });
    },
    flush: () => decoder.decode(),
  };
}

const UNFINISHED = "\uFFFD";

/**
 * For any other decoder: the text is decoded again with each id, from a short way back, and what is new is given out
 * as soon as it does not end in an unfinished character.
 */
export function rescanStream(decode: (ids: readonly number[]) => string): StreamDecoder {
  let ids: number[] = [];
  let given = "";
  const take = (whole: string): string => {
    const fresh = whole.slice(given.length);
    ids = ids.slice(-1);
    given = decode(ids);
    return fresh;
  };
  return {
    push(id) {
      ids.push(id);
      const whole = decode(ids);
      return whole.endsWith(UNFINISHED) || whole.length <= given.length ? "" : take(whole);
    },
    flush() {
      const whole = decode(ids);
      return whole.length > given.length ? take(whole) : "";
    },
  };
}
