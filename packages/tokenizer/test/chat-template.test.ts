import { describe, expect, it } from "vitest";
import { renderChatTemplate } from "../src/chat-template.ts";
import { TokenizerError } from "../src/errors.ts";
import { strftime } from "../src/jinja/strftime.ts";

const messages = [{ role: "user", content: "hi" }];

/** The one-line error of a template, with the milliseconds of CPU it took: the clock runs on while other processes work. */
function failure(source: string): { message: string; took: number } {
  const start = process.cpuUsage();
  try {
    renderChatTemplate(source, messages);
  } catch (error) {
    expect(error).toBeInstanceOf(TokenizerError);
    const { user, system } = process.cpuUsage(start);
    return { message: (error as Error).message, took: (user + system) / 1000 };
  }
  throw new Error("it rendered");
}

describe("a hostile chat template", () => {
  it.each([
    "{{ lipsum.__globals__['os'].popen('touch /tmp/pwned') }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.constructor.constructor('return process')() }}",
    "{{ self.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ messages|attr('constructor') }}",
    "{{ namespace().__proto__.polluted }}",
    "{{ raise_exception.constructor('return globalThis.pwned = 1')() }}",
    "{{ range.constructor }}{{ strftime_now.constructor('return 1')() }}",
    "{% set ns = namespace() %}{% set ns.__proto__ = {'polluted': 1} %}{{ ns.toString.constructor('return process')() }}",
  ])("reaches nothing of the host: %s", (source) => {
    let text = "";
    try {
      text = renderChatTemplate(source, messages);
    } catch (error) {
      expect(error).toBeInstanceOf(TokenizerError);
    }
    expect(text).not.toMatch(/function|process|object|native/);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect((globalThis as Record<string, unknown>)["pwned"]).toBeUndefined();
  });

  it("cannot ask for a huge range", () => {
    const { message, took } = failure("{% for i in range(10**9) %}{% endfor %}");
    expect(message).toMatch(/chat_template\.jinja:1:1: asks for a range of more than 100000; /);
    expect(took).toBeLessThan(100);
  });

  it.each([
    "{% for i in range(3000) %}{% for j in range(3000) %}{% endfor %}{% endfor %}",
    "{% for i in range(90000) %}{% for j in range(90000) %}{{ '' }}{% endfor %}{% endfor %}",
    "{% set a = range(100000) | list %}{% for i in a %}{% set b = a | sort | join(',') %}{% endfor %}",
    "{% set a = range(100000) | list %}{% for i in a %}{{ a[::-1] | length }}{% endfor %}",
  ])("cannot loop for long: %s", (source) => {
    const { message, took } = failure(source);
    expect(message).toMatch(/takes too many steps|takes longer than a second|too large/);
    expect(took).toBeLessThan(1600);
  });

  it.each([
    "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(27) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
    "{% set ns = namespace(a=[]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a | tojson }}",
    "{% set ns = namespace(a={}) %}{% for i in range(60) %}{% set ns.a = namespace(x=ns.a, y=ns.a) %}{% endfor %}{{ ns.a | tojson }}",
    "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns | tojson }}",
    "{% set s = range(100000) | join('x') %}{{ s | replace('x', s) }}",
    "{% set s = range(100000) | join('x') %}{{ s.replace('x', s) | length }}",
    "{% set s = range(100000) | join('x') %}{{ range(100000) | join(s) | length }}",
    "{{ range(100000) | list | tojson(indent=1000000000) | length }}",
    "{{ 'a\n\nb\nc' | indent(1000000000) | length }}",
    "{% for i in range(100000) %}{{ range(100) | join }}{% endfor %}",
    "{{ 'x'.ljust(1000000000) }}",
    "{{ 'x' * 1000000000 }}",
  ])("cannot make a huge text: %s", (source) => {
    const { message, took } = failure(source);
    expect(message.length).toBeLessThan(300);
    expect(took).toBeLessThan(10_000);
  });

  it.each([
    ["parentheses", `{{ ${"(".repeat(20_000)}1${")".repeat(20_000)} }}`],
    ["ifs", `${"{% if true %}".repeat(20_000)}x${"{% endif %}".repeat(20_000)}`],
    ["lists", `{{ ${"[".repeat(20_000)}1${"]".repeat(20_000)} }}`],
    ["negations", `{{ ${"not ".repeat(50_000)}1 }}`],
    ["a sum", `{{ 1${"+1".repeat(50_000)} }}`],
    ["elifs", `{% if false %}${"{% elif false %}".repeat(20_000)}{% endif %}`],
    ["a recursive macro", "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}"],
    [
      "a macro called by its own block",
      "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}",
    ],
  ])("cannot nest too deep: %s", (_name, source) => {
    const { message, took } = failure(source);
    expect(message).toMatch(/is nested too deep; |is not a function/);
    expect(message).not.toMatch(/call stack/);
    expect(took).toBeLessThan(1600);
  });

  it("cannot be larger than a mebibyte, nor full of white space", () => {
    expect(failure("a".repeat(2 ** 20 + 1)).message).toMatch(
      /^chat_template\.jinja: is larger than 1048576 characters; /,
    );
    expect(failure(" ".repeat(2 ** 20)).took).toBeLessThan(200);
    expect(renderChatTemplate("a".repeat(2 ** 20), messages)).toHaveLength(2 ** 20);
  });
});

describe("a broken chat template", () => {
  it.each([
    ["an open block", "a\nb {% if x %}\n c", /:2:3: /],
    ["an open tag", "one\n\n  {{ messages", /:3:3: the tag is not closed; /],
    ["an open string", "x\n{{ 'abc }}", /:2:1: the tag is not closed; /],
    ["an unknown filter", "line\n{{ 'a' | shell }}", /:2:1: the filter "shell" is not known; /],
    ["garbage in a tag", "ok\nok\n   {% set = 5 %}", /:3:4: cannot be read/],
    ["a stray character", "ok\n{{ 1 }}{{ a ` b }}", /:2:8: cannot be read/],
    [
      "an operation on nothing",
      "{% for m in messages %}\n  {{ m.nothing + 1 }}{% endfor %}",
      /:2:3: cannot be rendered \(Cannot perform operation/,
    ],
  ])("is refused with line and column: %s", (_name, source, expected) => {
    expect(failure(source).message).toMatch(expected);
  });

  it("tells what raise_exception says, with the place", () => {
    expect(failure("\n{% if true %}{{ raise_exception('x is\nwrong') }}{% endif %}").message).toMatch(
      /^chat_template\.jinja:2:14: x is\\u000awrong; /,
    );
  });
});

describe("the helpers of a chat template", () => {
  it("strftime writes English dates as C does", () => {
    const date = new Date(2024, 2, 7, 15, 4, 5);
    expect(strftime(date, "%d %b %Y %B %-d %H:%M:%S %I%p %j %A %a %y %% %Q")).toBe(
      "07 Mar 2024 March 7 15:04:05 03PM 067 Thursday Thu 24 % %Q",
    );
  });

  it("prints True, False and None as Python does", () => {
    expect(renderChatTemplate("{{ 1 == 1 }} {{ 1 > 2 }} {{ none }}{% set x = none %} {{ missing }}.", messages)).toBe(
      "True False None .",
    );
  });

  it("strips and counts as Python does", () => {
    const content = "\n\ufeff x😀\x85 \n";
    const source = "[{{ m.strip('\\n') }}|{{ m | trim }}|{{ m.lstrip() }}|{{ m.rstrip('\\n ') }}|{{ m | length }}]";
    const expected = "[\ufeff x😀\x85 |\ufeff x😀|\ufeff x😀\x85 \n|\n\ufeff x😀\x85|8]";
    expect(renderChatTemplate(source, messages, { variables: { m: content } })).toBe(expected);
  });

  it("strftime_now tells the given time", () => {
    expect(
      renderChatTemplate("{{ strftime_now('%d %b %Y') }}", messages, {
        now: new Date(2024, 6, 26),
      }),
    ).toBe("26 Jul 2024");
  });

  it("renders 2,000 messages of 1,000 characters within the limits", () => {
    const long = Array.from({ length: 2000 }, (_, index) => ({
      role: index % 2 ? "assistant" : "user",
      content: "word ".repeat(200),
    }));
    const source =
      "{% for m in messages %}{% if loop.index0 > 0 and messages[loop.index0 - 1].role == m.role %}{{ raise_exception('order') }}{% endif %}<{{ m.role }}>{{ m.content | trim }}{% endfor %}";
    expect(renderChatTemplate(source, long).length).toBe(2000 * 999 + 1000 * ("<user>".length + "<assistant>".length));
  });
});
