import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { layoutSafetensors, UserError } from "@welltempered/formats";
import { afterAll, expect } from "vitest";
import type { TensorToWrite } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "checkpoint-test-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
/** A fresh folder with these files. */
export function folderOf(files: Readonly<Record<string, string | Uint8Array>> = {}, name = `f${made++}`): string {
  const folder = join(root, name);
  mkdirSync(folder, { recursive: true });
  for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, file), content);
  return folder;
}

export const f32 = (name: string, shape: number[], fill = 1): TensorToWrite & { bytes: Uint8Array } => ({
  name,
  dtype: "F32",
  shape,
  bytes: new Uint8Array(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(fill).buffer),
});

/** A safetensors file in memory. */
export function fileOf(...tensors: (TensorToWrite & { bytes: Uint8Array })[]): Uint8Array {
  const { header, order } = layoutSafetensors(tensors, { format: "pt" });
  return new Uint8Array(Buffer.concat([header, ...order.map(({ bytes }) => bytes)]));
}

/** The message of the UserError that `work` throws, checked to be one line of the agreed form. */
export async function refusal(work: () => unknown, exitCode = 2): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect(error.exitCode).toBe(exitCode);
    expect(error.message).toMatch(/^[^\n]+: [^\n]+; [^\n]+$/);
    return error.message.replaceAll(root, "");
  }
  throw new Error("accepted");
}
