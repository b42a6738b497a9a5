import { fork, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lockFolder } from "../src/index.ts";
import { folderOf, refusal } from "./scratch.ts";

const name = ".temper.lock";
const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
const holder = (fields: object): string =>
  JSON.stringify({ pid: process.ppid, start: "1", host: hostname(), boot, ...fields });

describe("the lock of a run folder", () => {
  it("keeps a second holder out until it is released", async () => {
    const folder = folderOf();
    const lock = lockFolder(folder);
    expect(await refusal(() => lockFolder(folder))).toContain(`is in use by process ${process.pid}; wait for it`);
    lock.release();
    expect(existsSync(join(folder, name))).toBe(false);
    lockFolder(folder).release();
  });

  it.each([
    ["a process that is gone", holder({ pid: 999_999_999 })],
    ["a process number given to another process since", holder({})],
    ["a machine started anew since", holder({ boot: "other" })],
    ["nobody readable", "{"],
  ])("left by %s is taken over", (_, text) => {
    const folder = folderOf({ [name]: text });
    lockFolder(folder).release();
    expect(existsSync(join(folder, name))).toBe(false);
  });

  it("of another machine is respected", async () => {
    const folder = folderOf({ [name]: holder({ host: "elsewhere" }) });
    expect(await refusal(() => lockFolder(folder))).toContain("on elsewhere");
  });

  it("taken over by somebody else is not removed", () => {
    const folder = folderOf();
    const lock = lockFolder(folder);
    writeFileSync(join(folder, name), holder({ host: "elsewhere" }));
    lock.release();
    expect(existsSync(join(folder, name))).toBe(true);
  });

  it("dies with its holder: killed, the next process takes it", async () => {
    const folder = folderOf();
    const script = join(folder, "hold.mjs");
    writeFileSync(script, "process.send('ready'); setInterval(() => {}, 1000);");
    const child = fork(script, { execArgv: [] });
    await new Promise((done) => child.once("message", done));
    const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8");
    const start = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    writeFileSync(join(folder, name), holder({ pid: child.pid, start }));
    expect(await refusal(() => lockFolder(folder))).toContain(`is in use by process ${child.pid}`);
    child.kill("SIGKILL");
    await new Promise((done) => child.once("exit", done));
    lockFolder(folder).release();
    expect(spawnSync("ls", ["-A", folder], { encoding: "utf8" }).stdout).toBe("hold.mjs\n");
  });
});
