// A file goes to the device in pieces of pinned memory: every byte in its place, and nothing left of one that ends early.

import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeBackends, openBackend } from "@welltempered/kernels";
import { describe, expect, it } from "vitest";
import "./emulator.ts";

const cuda = describeBackends().backends.find(({ name }) => name === "cuda");

describe.runIf(cuda?.available)("uploadFrom", () => {
  it("reads a file of several pieces, and leaves no tensor of one that ends early", async () => {
    const folder = mkdtempSync(join(tmpdir(), "cuda-files-"));
    const [offset, length] = [7, 20_000_003];
    const bytes = Uint8Array.from({ length: offset + length }, (_, i) => (i * 2654435761) >>> 24);
    writeFileSync(join(folder, "file"), bytes);
    const fd = openSync(join(folder, "file"), "r");
    try {
      const k = openBackend({ device: "cuda" });
      expect(k.uploadFrom("u8", [length + 1], { fd, offset, length: length + 1 })).toBeUndefined();
      expect([k.liveTensors(), k.liveBytes()]).toEqual([0, 0]);
      const x = k.uploadFrom("u8", [length], { fd, offset, length });
      if (x === undefined) return expect.fail("the file was not read");
      expect(Buffer.compare(await k.read(x), bytes.subarray(offset))).toBe(0);
    } finally {
      closeSync(fd);
      rmSync(folder, { recursive: true });
    }
  });
});
