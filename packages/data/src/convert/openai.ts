import type { AlignedRow, Message, Role } from "../messages.ts";
import type { DatasetEntry, Tags } from "../registry/attributes.ts";
import type { Fields } from "./fields.ts";
import { pythonJson } from "./python-json.ts";
import { roleOf, rolesOf } from "./sharegpt.ts";
import { toolsText } from "./tools-text.ts";
import { rankedTurns, splitTurns } from "./turns.ts";

const TOOL_RESULT_BORDER = "\n</tool_response>\n<tool_response>\n";
const THINKING_NOTE = "detailed thinking off";

/** The `function` objects of a message's tool calls as one JSON list. */
function toolCallsText(message: Fields): string {
  const calls = message.objects("tool_calls").map((call) => {
    const value = call.value("function");
    if (value === null || typeof value !== "object")
      throw call.fault("function", "is missing", "give name and arguments");
    return value;
  });
  return pythonJson(calls);
}

function hasToolCalls(message: Fields): boolean {
  const calls = message.value("tool_calls");
  return calls !== null && !(Array.isArray(calls) && calls.length === 0);
}

function toMessage(message: Fields, tags: Tags, roles: ReadonlyMap<string, Role>): Message {
  const role = roleOf(message, tags, roles);
  const isAnswer = role === "assistant" || role === "function";
  if (isAnswer && hasToolCalls(message)) return { role: "function", content: toolCallsText(message) };
  return { role, content: message.text(tags.content) };
}

/** Results of tools that follow one another become one turn; at the very end they are dropped unless answers stand apart. */
function mergeResults(messages: readonly Message[], ranking: boolean): Message[] {
  const merged: Message[] = [];
  let results: string[] = [];
  const flush = (): void => {
    if (results.length > 0) merged.push({ role: "observation", content: results.join(TOOL_RESULT_BORDER) });
    results = [];
  };
  for (const message of messages) {
    if (message.role === "observation") {
      results.push(message.content);
      continue;
    }
    flush();
    merged.push(message);
  }
  if (ranking) flush();
  return merged;
}

/** LlamaFactory's system prompt of an openai row, with the note that its Nemotron recipe added for all models. */
function notedSystem(system: string, tools: string): string {
  if (tools !== "") return system === "" ? "" : `${system}\n`;
  if (system === "") return THINKING_NOTE;
  return /detailed thinking o(n|ff)/.test(system) ? system : `${system}\n${THINKING_NOTE}`;
}

/** Rows of `{role, content, tool_calls}` messages, as the OpenAI API takes them. */
export function convertOpenai(fields: Fields, { columns, tags, ranking, thinkingNote }: DatasetEntry): AlignedRow {
  const key = columns.messages ?? "";
  const roles = rolesOf(tags);
  const read = (message: Fields): Message => toMessage(message, tags, roles);
  const messages = fields.objects(key).map(read);
  const leading = messages[0]?.role === "system" ? messages.shift() : undefined;
  const system = leading ? leading.content : fields.optionalText(columns.system);
  const tools = toolsText(fields, columns.tools);
  const merged = mergeResults(messages, ranking);
  const turns = ranking ? rankedTurns(fields, columns, merged, read) : splitTurns(fields, key, merged);
  return {
    ...turns,
    system: thinkingNote ? notedSystem(system, tools) : system,
    tools,
    place: fields.place,
  };
}
