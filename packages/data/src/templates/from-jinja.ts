// Recovers slots from a model's own Jinja by rendering conversations whose content is `{{content}}`, as LlamaFactory does.
import { applyChatTemplate, type ChatMessage, type Tokenizer } from "@welltempered/tokenizer";

import { DataError } from "../errors.ts";
import type { TemplateSpec } from "./types.ts";

const CONTENT = "{{content}}";
const HINT = "set `template` to a named one";

/** The template inside a tokenizer's Jinja; throws where the Jinja does not follow one pattern a turn. */
export function recoverTemplate(tokenizer: Tokenizer): TemplateSpec {
  const prefix = tokenizer.decode(tokenizer.encode("", { addSpecialTokens: true }));
  const render = (messages: readonly ChatMessage[], addGenerationPrompt: boolean): string =>
    applyChatTemplate(tokenizer, messages, { addGenerationPrompt }).slice(prefix.length);
  const user = { role: "user", content: CONTENT };
  const system = render([{ role: "system", content: CONTENT }], false);
  const afterEmptySystem = render([{ role: "system", content: "" }, user], true);
  const firstUser = render([user], true);
  const assistant = render([user, { role: "assistant", content: CONTENT }], false).slice(firstUser.length);
  if (assistant.includes("<think>")) throw fail("writes thoughts, which only a named template can do");

  const defaultSystem = firstUser.length > afterEmptySystem.length ? insertedText(afterEmptySystem, firstUser) : "";
  const usedSystem =
    firstUser.length > afterEmptySystem.length ? system.replace(CONTENT, () => defaultSystem).length : 0;
  const spec = {
    name: "",
    system: [system],
    user: [firstUser.slice(usedSystem)],
    assistant: [assistant.replace(/^\n+/, "")],
    defaultSystem,
  };
  for (const [role, [slot]] of Object.entries({
    system: spec.system,
    user: spec.user,
    assistant: spec.assistant,
  })) {
    if (slot?.includes(CONTENT) !== true) throw fail(`drops the ${role} turn or changes it`);
  }
  return prefix === "" ? spec : { ...spec, prefix: [prefix] };
}

function fail(what: string): DataError {
  return new DataError("option", "chat template of the tokenizer", what, HINT);
}

/** The characters of `long` that are not part of `short`, which it contains as a subsequence. */
function insertedText(short: string, long: string): string {
  let inserted = "";
  let at = 0;
  for (const character of long) {
    if (at >= short.length) break;
    if (short.startsWith(character, at)) at += character.length;
    else inserted += character;
  }
  return inserted;
}
