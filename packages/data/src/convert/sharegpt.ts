import type { AlignedRow, Message, Role } from "../messages.ts";
import type { DatasetEntry, Tags } from "../registry/attributes.ts";
import type { Fields } from "./fields.ts";
import { toolsText } from "./tools-text.ts";
import { rankedTurns, splitTurns } from "./turns.ts";

/** The role names of a dataset, as roles; unset tags name none. */
export function rolesOf(tags: Tags): ReadonlyMap<string, Role> {
  const roles = new Map<string, Role>([
    [tags.user, "user"],
    [tags.assistant, "assistant"],
  ]);
  if (tags.observation !== undefined) roles.set(tags.observation, "observation");
  if (tags.function !== undefined) roles.set(tags.function, "function");
  if (tags.system !== undefined) roles.set(tags.system, "system");
  return roles;
}

/** The role of a message; throws on a name that no tag declares. */
export function roleOf(message: Fields, tags: Tags, roles: ReadonlyMap<string, Role>): Role {
  const name = message.text(tags.role);
  const role = roles.get(name);
  if (role !== undefined) return role;
  throw message.fault(
    tags.role,
    `is the unknown role ${JSON.stringify(name.slice(0, 40))}`,
    `known are ${[...roles.keys()].join(", ")}`,
  );
}

/** Rows of `{from, value}` messages; a leading system turn wins over the system column. */
export function convertSharegpt(fields: Fields, { columns, tags, ranking }: DatasetEntry): AlignedRow {
  const key = columns.messages ?? "";
  const roles = rolesOf(tags);
  const read = (message: Fields): Message => {
    return { role: roleOf(message, tags, roles), content: message.text(tags.content) };
  };
  const messages = fields.objects(key).map(read);
  const leading = messages[0]?.role === "system" ? messages.shift() : undefined;
  const system = leading ? leading.content : fields.optionalText(columns.system);
  return {
    ...(ranking ? rankedTurns(fields, columns, messages, read) : splitTurns(fields, key, messages)),
    system,
    tools: toolsText(fields, columns.tools),
    place: fields.place,
  };
}
