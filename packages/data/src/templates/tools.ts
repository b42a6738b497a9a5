// Tool descriptions and calls in the four formats of the templates here, as LlamaFactory writes them.
import type { TextPart } from "@welltempered/tokenizer";

import { DataError, quote } from "../errors.ts";
import { type Json, member, object, parsePythonJson, string, textOf, writePythonJson } from "./python-json.ts";
import type { ToolFormat } from "./types.ts";

interface FunctionCall {
  name: string;
  arguments: Json;
}

interface ToolWriter {
  tools(tools: readonly Json[], now: Date): TextPart[];
  calls(calls: readonly FunctionCall[]): TextPart[];
}

const trusted = (text: string): TextPart => ({ text, trusted: true });
const foreign = (text: string): TextPart => ({ text, trusted: false });

/** What follows the system message when there are tools; `json` is a list of descriptions. */
export function formatTools(format: ToolFormat, json: string, now: Date): TextPart[] {
  const tools = parsePythonJson(json);
  if (tools === undefined)
    throw new DataError("row", "tools", `${quote(json)} is not JSON`, "write a JSON list of tool descriptions");
  const list = tools.kind === "array" ? tools.items : [tools];
  return list.length === 0 ? [] : WRITERS[format].tools(list, now);
}

const THOUGHT = /<think>\n([\s\S]*?)\n<\/think>\n\n/;
const TOOL_CALL = /<tool_call>([\s\S]*?)<\/tool_call>/;

/** The text of a call that a message gives as JSON `{name, arguments}` or a list of them; a thought in front stays. */
export function formatCalls(format: ToolFormat, content: string, withThoughts: boolean): TextPart[] {
  const wrapped = withThoughts ? TOOL_CALL.exec(content) : null;
  const thought = withThoughts && wrapped === null ? THOUGHT.exec(content) : null;
  const found = wrapped ?? thought;
  const rest = found === null ? content : content.replaceAll(found[0], "");
  const calls = WRITERS[format].calls(readCalls(wrapped?.[1] ?? rest, content));
  const before = wrapped === null ? (thought?.[0] ?? "") : rest;
  return before === "" ? calls : [foreign(before), ...calls];
}

function readCalls(json: string, content: string): FunctionCall[] {
  const value = parsePythonJson(json);
  const list = value?.kind === "array" ? value.items : [value];
  return list.map((call) => {
    const name = member(call, "name");
    const args = member(call, "arguments");
    if (name?.kind === "string" && args !== undefined) return { name: name.text, arguments: args };
    throw new DataError(
      "row",
      "function message",
      `${quote(content)} is not a call`,
      'write JSON {"name": …, "arguments": …}',
    );
  });
}

const WRITERS: Readonly<Record<ToolFormat, ToolWriter>> = {
  default: {
    tools: (tools) => [foreign(defaultTools(tools))],
    calls: (calls) => [
      foreign(calls.map((call) => `Action: ${call.name}\nAction Input: ${writePythonJson(call.arguments)}`).join("\n")),
    ],
  },
  llama3: {
    tools: (tools, now) => [foreign(llama3Tools(tools, now))],
    calls: (calls) => [foreign(writePythonJson(oneOrList(calls.map((call) => callJson(call, "parameters")))))],
  },
  mistral: {
    tools: (tools) => [
      trusted("[AVAILABLE_TOOLS] "),
      foreign(writePythonJson({ kind: "array", items: tools.map(wrapTool) })),
      trusted("[/AVAILABLE_TOOLS]"),
    ],
    calls: (calls) => [
      foreign(writePythonJson({ kind: "array", items: calls.map((call) => callJson(call, "arguments")) })),
    ],
  },
  qwen: {
    tools: (tools) => [
      trusted(QWEN_BEFORE),
      foreign(tools.map((tool) => `\n${writePythonJson(wrapTool(tool))}`).join("")),
      trusted(QWEN_AFTER),
    ],
    calls: (calls) =>
      calls.flatMap((call, index) => [
        trusted(`${index === 0 ? "" : "\n"}<tool_call>\n`),
        foreign(writePythonJson(callJson(call, "arguments"))),
        trusted("\n</tool_call>"),
      ]),
  },
};

function callJson(call: FunctionCall, key: string): Json {
  return object([
    ["name", string(call.name)],
    [key, call.arguments],
  ]);
}

function oneOrList(items: readonly Json[]): Json {
  const [first] = items;
  return items.length === 1 && first !== undefined ? first : { kind: "array", items };
}

function wrapTool(tool: Json): Json {
  if (textOf(member(tool, "type")) === "function") return tool;
  return object([
    ["type", string("function")],
    ["function", tool],
  ]);
}

const QWEN_BEFORE =
  "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n" +
  "You are provided with function signatures within <tools></tools> XML tags:\n<tools>";
const QWEN_AFTER =
  "\n</tools>\n\nFor each function call, return a json object with function name and arguments within " +
  '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>';

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

function llama3Tools(tools: readonly Json[], now: Date): string {
  const date = `${String(now.getDate()).padStart(2, "0")} ${MONTHS[now.getMonth()]} ${now.getFullYear()}`;
  return (
    `Cutting Knowledge Date: December 2023\nToday Date: ${date}\n\n` +
    "You have access to the following functions. To call a function, please respond with JSON for a function call. " +
    'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}. ' +
    `Do not use variables.\n\n${tools.map((tool) => `${writePythonJson(wrapTool(tool), 4)}\n\n`).join("")}`
  );
}

function defaultTools(tools: readonly Json[]): string {
  const functions = tools.map((tool) =>
    textOf(member(tool, "type")) === "function" ? (member(tool, "function") ?? tool) : tool,
  );
  const names = functions.map((tool) => textOf(member(tool, "name"))).join(", ");
  return (
    `You have access to the following tools:\n${functions.map(describeTool).join("")}` +
    "Use the following format if using a tool:\n```\n" +
    `Action: tool name (one of [${names}])\n` +
    "Action Input: the input to the tool, in a JSON format representing the kwargs " +
    '(e.g. ```{"input": "hello world", "num_beams": 5}```)\n```\n'
  );
}

function describeTool(tool: Json): string {
  const parameters = member(tool, "parameters");
  const properties = member(parameters, "properties");
  const required = texts(member(parameters, "required"));
  const lines =
    properties?.kind === "object"
      ? Array.from(properties.entries, ([name, schema]) => describeParameter(name, schema, required.includes(name)))
      : [];
  return `> Tool Name: ${textOf(member(tool, "name"))}\nTool Description: ${textOf(member(tool, "description"))}\nTool Args:\n${lines.join("")}\n`;
}

function describeParameter(name: string, schema: Json, required: boolean): string {
  const choices = texts(member(schema, "enum"));
  const items = member(schema, "items");
  const limits = choices.length > 0 ? `, should be one of [${choices.join(", ")}]` : "";
  const each =
    items?.kind === "object" && items.entries.size > 0
      ? `, where each item should be ${textOf(member(items, "type"))}`
      : "";
  const kind = `${textOf(member(schema, "type"))}${required ? ", required" : ""}`;
  return `  - ${name} (${kind}): ${textOf(member(schema, "description"))}${limits}${each}\n`;
}

function texts(value: Json | undefined): string[] {
  return value?.kind === "array" ? value.items.map(textOf) : [];
}
