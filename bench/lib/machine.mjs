// Where and with what a figure was measured.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { Engine } from "@welltempered/tensor";
import { root } from "../../tools/lib.mjs";

const field = (text, name) => new RegExp(`^${name}\\s*: (.*)$`, "m").exec(text)?.[1]?.trim();

const intelCores = { 106: "icelake", 143: "sapphirerapids", 173: "graniterapids", 207: "emeraldrapids" };

/** Vendor, family and model → core, as the model name of a virtual machine does not say it. */
function microarchitecture(vendor, family, model) {
  if (vendor === "GenuineIntel") return family === 6 ? intelCores[model] : undefined;
  if (vendor !== "AuthenticAMD") return undefined;
  if (family === 26) return "zen5";
  if (family !== 25) return undefined;
  return (model >= 0x10 && model < 0x20) || (model >= 0x60 && model < 0x80) || model >= 0xa0 ? "zen4" : "zen3";
}

export function cpu() {
  const text = readFileSync("/proc/cpuinfo", "utf8");
  const [family, model] = [Number(field(text, "cpu family")), Number(field(text, "model"))];
  const flags = new Set(field(text, "flags")?.split(" "));
  const wanted = ["avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16"];
  return {
    model: field(text, "model name"),
    vendor: field(text, "vendor_id"),
    family,
    modelNumber: model,
    core: microarchitecture(field(text, "vendor_id"), family, model),
    cores: text.match(/^processor/gm)?.length,
    instructions: wanted.filter((flag) => flags.has(flag)),
  };
}

function kernels() {
  const { backend } = Engine.open();
  return `${backend.name}: ${backend.description}`;
}

const git = (...words) => execFileSync("git", words, { cwd: root, encoding: "utf8" }).trim();

export function machine() {
  return {
    date: new Date().toISOString(),
    commit: git("rev-parse", "HEAD"),
    uncommittedChanges: git("status", "--porcelain", "--", "crates", "packages", "bench", ":!bench/results") !== "",
    cpu: cpu(),
    memoryBytes: totalmem(),
    node: process.version,
    kernels: kernels(),
  };
}

/** A name for files: core and widest instruction set. */
export function cpuName({ core, model = "cpu", instructions }) {
  const words =
    core ??
    model
      .toLowerCase()
      .replaceAll(/\(.*?\)|@.*|cpu/g, "")
      .trim()
      .replaceAll(/[^a-z0-9]+/g, "-");
  if (instructions.includes("amx_bf16")) return `${words}-amx`;
  return `${words}-${instructions.includes("avx512f") ? "avx512" : instructions.includes("avx2") ? "avx2" : "portable"}`;
}
