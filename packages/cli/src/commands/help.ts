import { help as keyHelp, jsonSchema, keyGroups } from "@welltempered/config";
import type { Context } from "../context.ts";
import { UsageError } from "../errors.ts";
import { commandHelp, helpText } from "../help-text.ts";

/** `temper help`: a command, a configuration key, all of them, or their JSON Schema. */
export async function help([topic]: string[], context: Context): Promise<number> {
  context.print(textOf(topic));
  return 0;
}

function textOf(topic: string | undefined): string {
  if (topic === undefined) return helpText;
  if (topic === "keys") return allKeys();
  if (topic === "schema") return `${JSON.stringify(jsonSchema(), null, 2)}\n`;
  if (Object.hasOwn(commandHelp, topic)) return commandHelp[topic] ?? helpText;
  const text = keyHelp(topic);
  if (text === undefined)
    throw new UsageError(`no help on ${JSON.stringify(topic.slice(0, 60))}; see temper help keys`);
  return `${text}\n`;
}

function allKeys(): string {
  return Object.entries(keyGroups)
    .map(
      ([group, keys]) =>
        `${group}\n${Object.keys(keys)
          .map((key) => `  ${keyHelp(key)}\n`)
          .join("")}`,
    )
    .join("\n");
}
