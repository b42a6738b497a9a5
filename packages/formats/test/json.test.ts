import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type JsonValue, parseJson, parseJsonObject, pythonFloat, UserError, writeJson } from "../src/index.ts";
import { leastCpuTime } from "./cpu-time.ts";

const parse = (text: string | Uint8Array): JsonValue => parseJson(text, { file: "f.json" });

function message(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).exitCode).toBe(2);
    expect((error as UserError).message).not.toContain("\n");
    return (error as UserError).message;
  }
  throw new Error("accepted");
}

/** Plain objects of the parser's prototype-less ones, for toEqual. */
const plain = (value: JsonValue): unknown =>
  JSON.parse(JSON.stringify(value, (_, v: unknown) => (typeof v === "bigint" ? Number(v) : v)));

describe("the strict JSON parser", () => {
  it("reads what JSON.parse reads, for random values in several layouts", () => {
    const value = fc.jsonValue().filter((v) => !JSON.stringify(v).includes("-0"));
    fc.assert(
      fc.property(value, fc.integer({ min: 0, max: 4 }), (v, indent) => {
        const text = JSON.stringify(v, null, indent);
        expect(plain(parse(text))).toEqual(JSON.parse(text));
        expect(plain(parse(new TextEncoder().encode(text)))).toEqual(
          JSON.parse(new TextDecoder().decode(new TextEncoder().encode(text))),
        );
      }),
      { numRuns: 300 },
    );
  });

  it("agrees with JSON.parse about which damaged texts are JSON, duplicate keys and overflow apart", () => {
    const text = fc.tuple(
      fc.json(),
      fc.nat(),
      fc.constantFrom("", "{", "}", "[", "]", ",", ":", '"', "\\", "0", "-", "e", "1.", "tru", "\u0001"),
    );
    fc.assert(
      fc.property(text, ([json, place, junk]) => {
        const at = place % (json.length + 1);
        const damaged = json.slice(0, at) + junk + json.slice(at + 1);
        let wanted: unknown;
        try {
          wanted = JSON.parse(damaged);
        } catch {
          message(() => parse(damaged));
          return;
        }
        if (/[eE][+-]?\d{3}|-0/.test(damaged)) return;
        let got: JsonValue;
        try {
          got = parse(damaged);
        } catch (error) {
          expect((error as Error).message).toContain("occurs twice");
          return;
        }
        expect(plain(got)).toEqual(wanted);
      }),
      { numRuns: 1500 },
    );
  });

  it("keeps integers beyond 2^53 exact", () => {
    expect(parse("[18446744073709551614, 9007199254740993, -9007199254740993, 9007199254740991]")).toEqual([
      18446744073709551614n,
      9007199254740993n,
      -9007199254740993n,
      9007199254740991,
    ]);
    expect(writeJson(parse("[18446744073709551614]"))).toBe("[18446744073709551614]");
  });

  it("refuses what JSON.parse lets through in silence", () => {
    expect(message(() => parse('{"a":1,\n "a":2}'))).toBe('f.json:2:2: key "a" occurs twice; remove one');
    expect(message(() => parse('{"a":1,"\\u0061":2}'))).toContain('key "a" occurs twice');
    expect(message(() => parse("[1e400]"))).toContain("out of range");
    expect(message(() => parse("[".repeat(200_000) + "]".repeat(200_000)))).toBe(
      "f.json:1:129: nested deeper than 128 levels; flatten it",
    );
    expect(parse("[".repeat(128) + "]".repeat(128))).toBeDefined();
    expect(message(() => parse(`[${"9".repeat(100_000)}]`))).toContain("out of range");
  });

  it("names line and column, and the line of the larger file the text was cut from", () => {
    expect(message(() => parse('{\n  "a": 1,\n  "b" 2\n}'))).toBe(
      'f.json:3:7: expected ":" but found "2"; correct the JSON',
    );
    expect(message(() => parseJson('{"a":}', { file: "d.jsonl", line: 4217 }))).toBe(
      'd.jsonl:4217:6: expected a value but found "}"; correct the JSON',
    );
    expect(message(() => parse('{"a": "tru'))).toBe(
      "f.json:1:11: the text ends inside a string; the file is cut short: fetch it again",
    );
    expect(message(() => parse('{"a": \u001b}'))).toContain('found "\\u001b"');
  });

  it("treats a byte order mark as asked", () => {
    expect(message(() => parse("\ufeff{}"))).toContain("byte order mark");
    expect(message(() => parse(new Uint8Array([0xef, 0xbb, 0xbf, 0x7b, 0x7d])))).toContain("byte order mark");
    expect(plain(parseJson("\ufeff{}", { file: "f", bom: "skip" }))).toEqual({});
  });

  it("refuses text that is not UTF-8, too large, or no object where one is needed", () => {
    expect(message(() => parse(new Uint8Array([0x22, 0xe9, 0x22])))).toContain("not UTF-8");
    expect(message(() => parseJson("[1,2,3]", { file: "f", maxBytes: 4 }))).toContain("more than the 4 allowed");
    expect(message(() => parseJsonObject("[1]", { file: "config.json" }))).toBe(
      "config.json:1: holds an array where an object is needed; check that it is the right file",
    );
  });

  it("takes __proto__ and constructor as ordinary keys", () => {
    const value = parseJsonObject('{"__proto__": {"polluted": 1}, "constructor": 2}', { file: "f" });
    expect(Object.keys(value)).toEqual(["__proto__", "constructor"]);
    expect(Object.getPrototypeOf(value)).toBeNull();
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect(Object.getPrototypeOf({ ...value })).toBe(Object.prototype);
  });

  it("takes time in proportion to the rows, not to their square", () => {
    const rows = (count: number) =>
      JSON.stringify(Array.from({ length: count }, (_, i) => ({ id: i, text: `row ${i} `.repeat(20) })));
    const least = [12_500, 100_000].map((count) => {
      const text = rows(count);
      return leastCpuTime(() => expect((parse(text) as JsonValue[]).length).toBe(count));
    });
    expect(least[1]! / least[0]!).toBeLessThan(24);
  });
});

describe("the JSON writer", () => {
  // Expected texts are Python's json.dumps(value) and json.dumps(value, indent=2, sort_keys=True).
  it("writes as Python does when asked", () => {
    const value = { b: [1, 0.1, 1e-5, 1.5e300, -2], a: { é: "☃\ud83d\ude00\n", none: null }, empty: {}, list: [] };
    expect(writeJson(value, { python: true })).toBe(
      '{"b": [1, 0.1, 1e-05, 1.5e+300, -2], "a": {"\\u00e9": "\\u2603\\ud83d\\ude00\\n", "none": null}, "empty": {}, "list": []}',
    );
    expect(
      writeJson(
        { z: { y: true, x: 0 }, a: [1, [2]], f: 0 },
        { python: true, indent: 2, sortKeys: true, floatKeys: new Set(["f"]) },
      ),
    ).toBe(
      '{\n  "a": [\n    1,\n    [\n      2\n    ]\n  ],\n  "f": 0.0,\n  "z": {\n    "x": 0,\n    "y": true\n  }\n}',
    );
  });

  it("prints floats as Python's repr", () => {
    const pairs: [number, string][] = [
      [0.0001, "0.0001"],
      [0.00001234, "1.234e-05"],
      [1e16, "1e+16"],
      [123456789012345680, "1.2345678901234568e+17"],
      [100, "100.0"],
      [-0, "-0.0"],
      [5e-324, "5e-324"],
      [1e22, "1e+22"],
    ];
    for (const [value, text] of pairs) expect(pythonFloat(value)).toBe(text);
  });

  it("is JSON.stringify without options", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (v) => {
        expect(parse(writeJson(v))).toEqual(parse(JSON.stringify(v)));
      }),
      { numRuns: 200 },
    );
  });

  it("refuses values that JSON cannot hold", () => {
    expect(() => writeJson({ a: Number.NaN })).toThrow(RangeError);
    expect(() => writeJson({ a: () => 1 })).toThrow(TypeError);
  });
});
