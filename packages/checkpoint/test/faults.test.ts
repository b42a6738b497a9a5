// Breaks a save at its K-th write, fsync, rename and mkdir, for every K until it gets through: by SIGKILL, then by ENOSPC.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { removeLeftovers, verifyManifest, writeFileAtomic, writeFolderAtomic } from "../src/index.ts";
import { folderOf } from "./scratch.ts";

const child = fileURLToPath(new URL("save-child.mjs", import.meta.url));
const root = fileURLToPath(new URL("../../..", import.meta.url));
const canTrace = spawnSync("strace", ["-o", "/dev/null", "true"]).status === 0;

/** One save under strace; `inject` as strace's -e inject. All file work runs on one thread, so counts are exact. */
function save(parent: string, inject: string): { status: number | null; stdout: string } {
  const run = spawnSync(
    "strace",
    [
      "-f",
      "-qq",
      "-o",
      "/dev/null",
      "-e",
      `trace=${inject.split(":")[0]}`,
      "-e",
      `inject=${inject}`,
      process.execPath,
      child,
      parent,
    ],
    { encoding: "utf8", env: { ...process.env, UV_THREADPOOL_SIZE: "1", NODE_OPTIONS: "" } },
  );
  return { status: run.status, stdout: run.stdout };
}

async function parentWithOld(): Promise<string> {
  const parent = folderOf();
  await writeFolderAtomic(
    parent,
    "checkpoint-10",
    (folder) => writeFileAtomic(join(folder, "model.safetensors"), "old"),
    { step: 10 },
  );
  return parent;
}

const isDone = (parent: string): boolean => existsSync(join(parent, "checkpoint-20"));

describe.skipIf(!canTrace)("a save that is broken off (skipped without strace)", () => {
  beforeAll(() => {
    const build = spawnSync("npx", ["tsc", "-b", "packages/checkpoint"], { cwd: root, encoding: "utf8" });
    if (!existsSync(join(root, "packages/checkpoint/dist/index.js"))) throw new Error(build.stdout);
  });

  it.each(["fsync", "rename", "pwrite64", "mkdir"])(
    "by SIGKILL at any %s leaves the old checkpoint, and the new one only if it is whole",
    async (call) => {
      let killed = 0;
      for (let k = 1; k < 40; k++) {
        const parent = await parentWithOld();
        const { status, stdout } = save(parent, `${call}:signal=SIGKILL:when=${k}`);
        expect(stdout).toBe("");
        expect(verifyManifest(join(parent, "checkpoint-10")).facts).toMatchObject({ step: 10 });
        if (isDone(parent)) expect(verifyManifest(join(parent, "checkpoint-20")).facts).toMatchObject({ step: 20 });
        await removeLeftovers(parent);
        expect(readdirSync(parent).filter((name) => !/^checkpoint-[12]0$/.test(name))).toEqual([]);
        if (status === 0) break;
        killed++;
      }
      expect(killed).toBeGreaterThan(0);
    },
  );

  it.each(["fsync", "rename", "pwrite64"])(
    "by a full disk at any %s says so with exit code 3 and leaves nothing of it",
    async (call) => {
      let failed = 0;
      for (let k = 1; k < 40; k++) {
        const parent = await parentWithOld();
        const { status, stdout } = save(parent, `${call}:error=ENOSPC:when=${k}`);
        expect(verifyManifest(join(parent, "checkpoint-10")).facts).toMatchObject({ step: 10 });
        if (status === 0) break;
        const report = JSON.parse(stdout) as { exitCode: number; message: string };
        expect(report.exitCode).toBe(3);
        expect(report.message).toMatch(/: does not fit: the disk is full; free some space$/);
        if (isDone(parent)) verifyManifest(join(parent, "checkpoint-20"));
        expect(readdirSync(parent).filter((name) => !/^checkpoint-[12]0$/.test(name))).toEqual([]);
        failed++;
      }
      expect(failed).toBeGreaterThan(0);
    },
  );
});
