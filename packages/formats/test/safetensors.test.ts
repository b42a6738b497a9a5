import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  FormatsError,
  type FormatsErrorCode,
  layoutSafetensors,
  parseSafetensorsHeader,
  type SafetensorsDtype,
  type SafetensorsHeader,
} from "../src/index.ts";
import { leastCpuTime } from "./cpu-time.ts";

const fixtures = new URL("../../../fixtures/safetensors/", import.meta.url);
const readFixture = <T>(name: string): T => JSON.parse(readFileSync(new URL(name, fixtures), "utf8")) as T;
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));

interface Case {
  name: string;
  base64: string;
  verdict: string;
  stricter?: boolean;
}
const { cases } = readFixture<{ cases: Case[] }>("verdicts.json");

function verdict(bytes: Uint8Array): FormatsErrorCode | "accepted" {
  try {
    parseSafetensorsHeader(bytes, bytes.length, "m.safetensors");
    return "accepted";
  } catch (error) {
    if (!(error instanceof FormatsError)) throw error;
    expect(error.message).toMatch(/^m\.safetensors[^\n]*; [^\n]+$/);
    return error.code;
  }
}

const classes: [RegExp, FormatsErrorCode | "accepted"][] = [
  [/^accepted/, "accepted"],
  [/^header too small/, "HEADER_TOO_SMALL"],
  [/^header too large/, "HEADER_TOO_LARGE"],
  [/^invalid header length/, "INVALID_HEADER_LENGTH"],
  [/^invalid (JSON|UTF-8)/, "INVALID_HEADER"],
  [/^incomplete metadata/, "METADATA_INCOMPLETE_BUFFER"],
  [/^overflow/, "VALIDATION_OVERFLOW"],
  [/^invalid offset/, "INVALID_OFFSET"],
  [/^invalid shape/, "TENSOR_INVALID_INFO"],
  [/^The slice/, "MISALIGNED_SLICE"],
];
const classOf = (text: string): string => classes.find(([pattern]) => pattern.test(text))?.[1] ?? `unknown: ${text}`;

function frame(json: string, dataSize = 0): Uint8Array {
  const text = new TextEncoder().encode(json);
  const bytes = new Uint8Array(8 + text.length + dataSize);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

describe("the safetensors header", () => {
  it.each(cases.filter((c) => !c.name.startsWith("random")))(
    "has the wheel's verdict: $name",
    ({ name, base64, verdict: reference, stricter }) => {
      const got = verdict(fromBase64(base64));
      if (stricter) {
        expect(reference).toBe("accepted");
        expect(got).toMatch(/STRICTER_THAN_REFERENCE|INVALID_HEADER/);
      } else if (name === "duplicate name, two ranges") expect(got).toBe("INVALID_HEADER");
      else expect(got).toBe(classOf(reference));
    },
  );

  it("accepts exactly the random files the wheel accepts", () => {
    const random = cases.filter((c) => c.name.startsWith("random"));
    const wrong = random.filter((c) => (verdict(fromBase64(c.base64)) === "accepted") !== (c.verdict === "accepted"));
    expect(random.length).toBe(400);
    expect(wrong.map((c) => [c.name, c.verdict])).toEqual([]);
  });

  it("reads names, types, shapes, bytes and metadata of a file made by the wheel, and writes it back byte for byte", () => {
    const written = readFixture<{ base64: string; tensors: Record<string, { shape: number[]; base64: string }> }>(
      "written.json",
    );
    const bytes = fromBase64(written.base64);
    const header = parseSafetensorsHeader(bytes, bytes.length, "w");
    expect([...header.tensors.keys()].sort()).toEqual(Object.keys(written.tensors).sort());
    for (const [name, { shape, base64 }] of Object.entries(written.tensors)) {
      const entry = header.tensors.get(name)!;
      expect(entry.shape).toEqual(shape);
      expect(Buffer.from(bytes.subarray(entry.begin, entry.end)).toString("base64")).toBe(base64);
    }
    const specs = [...header.tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape })).reverse();
    const layout = layoutSafetensors(specs, Object.fromEntries(header.metadata));
    expect(Buffer.from(layout.header).equals(Buffer.from(bytes.subarray(0, header.dataStart)))).toBe(true);
    expect(layout.dataSize).toBe(bytes.length - header.dataStart);
  });

  it("refuses a rank of 100,000 and a zero-size tensor with a dimension of 2^63", () => {
    const shape = Array.from({ length: 100_000 }, () => 1).join(",");
    expect(verdict(frame(`{"a":{"dtype":"U8","shape":[${shape}],"data_offsets":[0,1]}}`, 1))).toBe(
      "STRICTER_THAN_REFERENCE",
    );
    expect(verdict(frame('{"a":{"dtype":"U8","shape":[0,9223372036854775808],"data_offsets":[0,0]}}'))).toBe(
      "STRICTER_THAN_REFERENCE",
    );
  });

  it("keeps __proto__ and constructor as names of tensors and pollutes nothing", () => {
    const bytes = frame(
      '{"__metadata__":{"__proto__":"polluted"},"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"constructor":{"dtype":"U8","shape":[],"data_offsets":[1,2]}}',
      2,
    );
    const header: SafetensorsHeader = parseSafetensorsHeader(bytes, bytes.length, "p");
    expect([...header.tensors.keys()]).toEqual(["__proto__", "constructor"]);
    expect(header.metadata.get("__proto__")).toBe("polluted");
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  it("escapes names in messages", () => {
    const bytes = frame('{"a\\u001b[31m\\nerror: forged\\u202e":{"dtype":"F33","shape":[],"data_offsets":[0,0]}}');
    expect(() => parseSafetensorsHeader(bytes, bytes.length, "m")).toThrow(
      'tensor "a\\u001b[31m\\u000aerror: forged\\u202e"',
    );
  });

  it("takes time in proportion to the tensors, not to their square", () => {
    const header = (count: number) => {
      const tensors = Array.from(
        { length: count },
        (_, i) => `"t${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`,
      );
      return frame(`{${tensors.join(",")}}`);
    };
    const least = [12_500, 100_000].map((count) => {
      const bytes = header(count);
      return leastCpuTime(() => expect(parseSafetensorsHeader(bytes, bytes.length, "m").tensors.size).toBe(count));
    });
    expect(least[1]! / least[0]!).toBeLessThan(24);
  });

  it("survives a round trip for any names, types and shapes", () => {
    const dtype = fc.constantFrom<SafetensorsDtype>(
      "F64",
      "F32",
      "BF16",
      "F16",
      "I64",
      "I32",
      "I16",
      "I8",
      "U8",
      "BOOL",
      "F8_E4M3",
    );
    const name = fc.string({ unit: "grapheme" }).filter((text) => text !== "__metadata__" && text.isWellFormed());
    const specs = fc.uniqueArray(fc.record({ name, dtype, shape: fc.array(fc.nat(5), { maxLength: 4 }) }), {
      selector: (spec) => spec.name,
    });
    fc.assert(
      fc.property(specs, (tensors) => {
        const { header, order, dataSize } = layoutSafetensors(tensors, { format: "pt" });
        expect(header.length % 8).toBe(0);
        const parsed = parseSafetensorsHeader(header, header.length + dataSize, "r");
        expect([...parsed.tensors].map(([key, { dtype: type, shape }]) => ({ name: key, dtype: type, shape }))).toEqual(
          order,
        );
      }),
    );
  });
});
