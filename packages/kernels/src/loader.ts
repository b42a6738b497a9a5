import { availableParallelism } from "node:os";

import type { KernelBackend } from "./backend.ts";
import { KernelError, toKernelError } from "./errors.ts";
import { findLibrary, requireLibrary } from "./library.ts";
import type { LibraryAttempt } from "./library.ts";
import { NativeBackend } from "./native.ts";
import { findWasm } from "./wasm-file.ts";
import { openWasm } from "./wasm.ts";
import type { WasmGlue } from "./wasm.ts";

/** "auto" is the fastest that this machine has. */
export type Device = "auto" | "cuda" | "cpu" | "wasm" | "reference";

export type MatmulPrecision = "f32" | "tf32" | "bf16" | "f16";

export interface BackendOptions {
  /** Default: TEMPER_DEVICE, else "auto". */
  device?: Device;
  /** Threads of the "cpu" backend, 1 … 1024. Default: all that the machine offers. "wasm" has one. */
  threads?: number;
  /**
   * "bf16": large products may round both sides to bf16, where the machine multiplies those faster; "f16" and "tf32":
   * products may round them to f16 or to TF32 on an NVIDIA GPU, and are of f32 elsewhere. Sums stay f32.
   * Default: "f32".
   */
  matmulPrecision?: MatmulPrecision;
}

/** One backend of `temper env`: its description, or why it cannot be used; and why `openBackend()` takes it or does not. */
export interface BackendReport {
  name: string;
  available: boolean;
  detail: string;
  choice: string;
}

/** Fastest first: "auto" is the first that opens. */
const KINDS = ["cuda", "cpu", "wasm", "reference"] as const;
type Kind = (typeof KINDS)[number];
const DEVICES: readonly string[] = ["auto", ...KINDS];

function chosenDevice(device: Device | undefined): Device {
  const name = device ?? process.env["TEMPER_DEVICE"] ?? "auto";
  if (DEVICES.includes(name)) return name as Device;
  const hint = `use one of ${DEVICES.join(", ")}`;
  throw new KernelError("INVALID_ARGUMENT", `device: there is no "${name}"; ${hint}`, hint);
}

/** How each opens; throws NO_BACKEND with what was missing. */
const openers: Record<Kind, (options: BackendOptions) => KernelBackend> = {
  cuda: (options) => openNative("cuda", options),
  cpu: (options) => openNative("cpu", options),
  wasm: () => openWasm(requireWasm(), "wasm"),
  reference: (options) =>
    findLibrary().addon === undefined ? openWasm(requireWasm(), "reference") : openNative("reference", options),
};

function openNative(kind: string, { threads = availableParallelism(), matmulPrecision = "f32" }: BackendOptions) {
  const addon = requireLibrary();
  try {
    return new NativeBackend(addon.openBackend(kind, threads, matmulPrecision));
  } catch (error) {
    throw toKernelError("openBackend", error);
  }
}

function requireWasm(): WasmGlue {
  const { glue, attempt } = findWasm();
  if (glue !== undefined) return glue;
  throw new KernelError("NO_BACKEND", `no wasm kernels: ${attempt.path} (${attempt.problem ?? ""})`);
}

/** The fastest that is there. Where nothing is, the error of "cpu", which says what to install. */
function openFastest(options: BackendOptions): KernelBackend {
  for (const kind of KINDS) {
    try {
      return openers[kind](options);
    } catch (error) {
      if (!(error instanceof KernelError && error.code === "NO_BACKEND")) throw error;
    }
  }
  return openers.cpu(options);
}

/** Opens a backend with memory of its own. Throws NO_BACKEND where neither the native library nor the module is there. */
export function openBackend(options: BackendOptions = {}): KernelBackend {
  const device = chosenDevice(options.device);
  return device === "auto" ? openFastest(options) : openers[device](options);
}

function report(name: Kind): Omit<BackendReport, "choice"> {
  try {
    return { name, available: true, detail: openBackend({ device: name }).description };
  } catch (error) {
    return { name, available: false, detail: error instanceof Error ? error.message : String(error) };
  }
}

/** Every backend, fastest first, and every place where the native library and the module were looked for. */
export function describeBackends(): { backends: BackendReport[]; library: LibraryAttempt[] } {
  const asked = process.env["TEMPER_DEVICE"];
  const forced = KINDS.find((kind) => kind === asked);
  const reports = KINDS.map(report);
  const taken = forced ?? reports.find(({ available }) => available)?.name;
  const because = forced === undefined ? "the fastest here" : `TEMPER_DEVICE=${forced}`;
  const instead = forced === undefined ? `${taken} is the fastest here` : because;
  const choice = ({ name, available }: Omit<BackendReport, "choice">): string => {
    if (!available) return "not taken: not there";
    return name === taken ? `taken: ${because}` : `not taken: ${instead}`;
  };
  const backends = reports.map((one) => ({ ...one, choice: choice(one) }));
  return { backends, library: [...findLibrary().attempts, findWasm().attempt] };
}
