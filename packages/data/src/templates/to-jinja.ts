import { type Tokenizer } from "@welltempered/tokenizer";

import type { Slot, TemplateSpec } from "./types.ts";

const CONTENT = "{{content}}";

/** The template as Jinja for `chat_template.jinja`, as LlamaFactory writes it: system, user and assistant turns. */
export function templateToJinja(spec: Required<TemplateSpec>, tokenizer: Tokenizer): string {
  const join = (slots: readonly Slot[], placeholder = "content"): string =>
    slots.flatMap((slot) => pieces(slot, placeholder, tokenizer)).join(" + ");
  const prefix = join(spec.prefix);
  const system = join(spec.system, "system_message");
  const opening =
    (prefix === "" ? "" : `{{ ${prefix} }}`) +
    (spec.defaultSystem === "" ? "" : `{% set system_message = ${literal(spec.defaultSystem)} %}`) +
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}" +
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% endif %}";
  const turns =
    `{% if message['role'] == 'user' %}{{ ${join(spec.user)} }}` +
    `{% elif message['role'] == 'assistant' %}{{ ${join(spec.assistant)} }}{% endif %}{% endfor %}`;
  if (spec.systemInUser) {
    return (
      `${opening}{% for message in loop_messages %}` +
      `{% if loop.index0 == 0 and system_message is defined %}{% set content = ${system} + message['content'] %}` +
      `{% else %}{% set content = message['content'] %}{% endif %}${turns}`
    );
  }
  return (
    `${opening}{% if system_message is defined %}{{ ${system} }}{% endif %}` +
    `{% for message in loop_messages %}{% set content = message['content'] %}${turns}`
  );
}

/** Single quotes are escaped, and nothing else: newlines stay as they are. */
function literal(text: string): string {
  return `'${text.replaceAll("'", "\\'")}'`;
}

function pieces(slot: Slot, placeholder: string, tokenizer: Tokenizer): string[] {
  if (typeof slot !== "string") {
    const token = tokenizer.specialTokens[slot.special];
    return token === undefined ? [] : [`'${token.token}'`];
  }
  const at = slot.indexOf(CONTENT);
  if (at < 0) return [literal(slot)];
  const before = slot.slice(0, at);
  const after = slot.slice(at + CONTENT.length);
  return [...(before === "" ? [] : [literal(before)]), placeholder, ...(after === "" ? [] : [literal(after)])];
}
