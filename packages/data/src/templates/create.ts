// The slot engine. A slot holds the template's own text, which is trusted, around a message, which is not: control
// tokens are taken from the template's text alone, unless `allowSpecial` asks for LlamaFactory's reading.
import type { TextPart, Tokenizer } from "@welltempered/tokenizer";

import { DataError } from "../errors.ts";
import type { Message } from "../messages.ts";
import { formatCalls, formatTools } from "./tools.ts";
import type { Slot, Template, TemplateOptions, TemplateSpec } from "./types.ts";

const CONTENT = "{{content}}";
const EOS = { special: "eos" } as const;

/** A slot with its message in place. */
type Element = TextPart[] | { special: "bos" | "eos" };

/** Every field of a template, the absent ones as LlamaFactory fills them. */
export function completeSpec(spec: TemplateSpec): Required<TemplateSpec> {
  const efficientEos = spec.efficientEos ?? false;
  const answer: readonly Slot[] = efficientEos ? [CONTENT] : [CONTENT, EOS];
  const user = spec.user ?? [CONTENT];
  const assistant = spec.assistant ?? answer;
  return {
    name: spec.name,
    prefix: spec.prefix ?? [],
    system: spec.system ?? [CONTENT],
    user,
    assistant,
    function: spec.function ?? assistant,
    observation: spec.observation ?? user,
    toolFormat: spec.toolFormat ?? "default",
    defaultSystem: spec.defaultSystem ?? "",
    stopWords: spec.stopWords ?? [],
    efficientEos,
    replaceEos: spec.replaceEos ?? false,
    replaceJinja: spec.replaceJinja ?? false,
    systemInUser: spec.systemInUser ?? false,
  };
}

/** A template that encodes conversations. */
export function createTemplate(partial: TemplateSpec, options: TemplateOptions = {}): Template {
  const spec = {
    ...completeSpec(partial),
    ...(options.defaultSystem === undefined ? {} : { defaultSystem: options.defaultSystem }),
  };
  const encode = (tokenizer: Tokenizer, messages: readonly Message[], system = "", tools = ""): number[][] =>
    encodeMessages({ spec, tokenizer, options }, messages, system, tools);
  return {
    name: spec.name,
    spec,
    stopWords: spec.stopWords,
    defaultSystem: spec.defaultSystem,
    efficientEos: spec.efficientEos,
    encodeOneturn(tokenizer, messages, system, tools) {
      const turns = encode(tokenizer, messages, system, tools);
      return [turns.slice(0, -1).flat(), turns.at(-1) ?? []];
    },
    encodeMultiturn(tokenizer, messages, system, tools) {
      const turns = encode(tokenizer, messages, system, tools);
      return Array.from({ length: Math.floor(turns.length / 2) }, (_, pair) => [
        turns[2 * pair] ?? [],
        turns[2 * pair + 1] ?? [],
      ]);
    },
    stopIds: (tokenizer) => stopIds(spec, tokenizer),
  };
}

function stopIds(spec: Required<TemplateSpec>, tokenizer: Tokenizer): number[] {
  const ids = [tokenizer.specialTokens.eos?.id, ...spec.stopWords.map((word) => tokenizer.tokenToId(word))];
  return [...new Set(ids.filter((id) => id !== undefined))];
}

interface Context {
  spec: Required<TemplateSpec>;
  tokenizer: Tokenizer;
  options: TemplateOptions;
}

function encodeMessages(context: Context, messages: readonly Message[], system: string, tools: string): number[][] {
  const systemParts = systemText(context, system, tools);
  return messages.map((message, index) => {
    const opening = index === 0 ? systemParts : [];
    const elements = openingElements(context, opening, index === 0).concat(
      turnElements(context.spec, message, context.spec.systemInUser ? fused(context.spec, opening) : []),
    );
    return ([] as number[]).concat(...elements.map((element) => encodeElement(context, element)));
  });
}

function systemText({ spec, options }: Context, system: string, tools: string): TextPart[] {
  const own = system === "" ? { text: spec.defaultSystem, trusted: true } : { text: system, trusted: false };
  const parts = own.text === "" ? [] : [own];
  return tools === "" ? parts : [...parts, ...formatTools(spec.toolFormat, tools, options.now ?? new Date())];
}

/** What comes before the first turn: the prefix, and the system turn where it is one of its own. */
function openingElements({ spec }: Context, system: readonly TextPart[], first: boolean): Element[] {
  if (!first) return [];
  const own = system.length > 0 && !spec.systemInUser;
  return [...fill(spec.prefix, []), ...(own ? fill(spec.system, system) : [])];
}

/** The system text for the inside of a user turn. */
function fused(spec: Required<TemplateSpec>, system: readonly TextPart[]): TextPart[] {
  const [element] = system.length > 0 ? fill(spec.system.slice(0, 1), system) : [];
  return Array.isArray(element) ? element : [];
}

function turnElements(spec: Required<TemplateSpec>, message: Message, before: readonly TextPart[]): Element[] {
  const content: TextPart = { text: message.content, trusted: false };
  switch (message.role) {
    case "user":
      return fill(spec.user, [...before, content]);
    case "assistant":
      return fill(spec.assistant, [content]);
    case "observation":
      return fill(spec.observation, [content]);
    case "function":
      return fill(spec.function, formatCalls(spec.toolFormat, message.content, !spec.systemInUser));
    case "system":
      throw new DataError(
        "row",
        "messages",
        "a system message stands among the turns",
        "give it first, or in the system column",
      );
    default:
      return message.role satisfies never;
  }
}

/** Slots with the content at the first `{{content}}` of each; what the content says is never read as a slot. */
function fill(slots: readonly Slot[], content: readonly TextPart[]): Element[] {
  return slots.map((slot) => {
    if (typeof slot !== "string") return slot;
    const at = slot.indexOf(CONTENT);
    if (at < 0) return [{ text: slot, trusted: true }];
    return [
      { text: slot.slice(0, at), trusted: true },
      ...content,
      { text: slot.slice(at + CONTENT.length), trusted: true },
    ];
  });
}

function encodeElement({ tokenizer, options }: Context, element: Element): number[] {
  if (!Array.isArray(element)) {
    const token = tokenizer.specialTokens[element.special];
    return token === undefined ? [] : [token.id];
  }
  if (options.allowSpecial !== true) return tokenizer.encodeParts(element);
  return tokenizer.encode(element.map((part) => part.text).join(""), { allowSpecial: true });
}
