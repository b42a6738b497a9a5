import { availableParallelism } from "node:os";

import type { KernelBackend } from "./backend.ts";
import { KernelError, toKernelError } from "./errors.ts";
import { findLibrary, requireLibrary } from "./library.ts";
import type { LibraryAttempt } from "./library.ts";
import { NativeBackend } from "./native.ts";

/** "auto" is the fastest that this machine has. */
export type Device = "auto" | "cuda" | "cpu" | "reference";

export type MatmulPrecision = "f32" | "bf16";

export interface BackendOptions {
  /** Default: TEMPER_DEVICE, else "auto". */
  device?: Device;
  /** Threads of the "cpu" backend, 1 … 1024. Default: all that the machine offers. */
  threads?: number;
  /**
   * "bf16": large products may round both sides to bf16, where the machine multiplies those faster; sums stay f32.
   * Default: "f32".
   */
  matmulPrecision?: MatmulPrecision;
}

/** One backend of `temper env`: its description, or why it cannot be used. */
export interface BackendReport {
  name: string;
  available: boolean;
  detail: string;
}

const KINDS = ["cuda", "cpu", "reference"] as const;
const DEVICES: readonly string[] = ["auto", ...KINDS];

function chosenDevice(device: Device | undefined): string {
  const name = device ?? process.env["TEMPER_DEVICE"] ?? "auto";
  if (DEVICES.includes(name)) return name;
  const hint = `use one of ${DEVICES.join(", ")}`;
  throw new KernelError("INVALID_ARGUMENT", `device: there is no "${name}"; ${hint}`, hint);
}

/** Opens a backend with memory of its own. Throws NO_BACKEND where the native library is missing. */
export function openBackend(options: BackendOptions = {}): KernelBackend {
  const device = chosenDevice(options.device);
  const addon = requireLibrary();
  const { threads = availableParallelism(), matmulPrecision = "f32" } = options;
  const open = (kind: string): KernelBackend => {
    try {
      return new NativeBackend(addon.openBackend(kind, threads, matmulPrecision));
    } catch (error) {
      throw toKernelError("openBackend", error);
    }
  };
  return device === "auto" ? openFastest(open) : open(device);
}

/** A GPU where one can be used, else the CPU; `describeBackends` tells why it was not taken. */
function openFastest(open: (kind: string) => KernelBackend): KernelBackend {
  try {
    return open("cuda");
  } catch (error) {
    if (error instanceof KernelError && error.code === "NO_BACKEND") return open("cpu");
    throw error;
  }
}

function report(name: (typeof KINDS)[number]): BackendReport {
  try {
    return { name, available: true, detail: openBackend({ device: name }).description };
  } catch (error) {
    return {
      name,
      available: false,
      detail: error instanceof Error ? error.message : String(error),
    };
  }
}

/** Every backend, fastest first, and every place where the native library was looked for. */
export function describeBackends(): { backends: BackendReport[]; library: LibraryAttempt[] } {
  return { backends: KINDS.map(report), library: findLibrary().attempts };
}
