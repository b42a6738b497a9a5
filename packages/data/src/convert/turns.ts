import type { Message, Role } from "../messages.ts";
import type { Fields } from "./fields.ts";

/** The part of a conversation before and from the last turn. */
export interface Conversation {
  prompt: Message[];
  response: Message[];
}

function isQuestion(role: Role): boolean {
  return role === "user" || role === "observation";
}

function isAnswer(role: Role): boolean {
  return role === "assistant" || role === "function";
}

/** Checks that questions (user, observation) and answers (assistant, function) take turns and that an answer is last. */
export function splitTurns(fields: Fields, key: string, messages: readonly Message[]): Conversation {
  if (messages.length === 0) throw fields.fault(key, "holds no turns", "give at least a question and an answer");
  messages.forEach(({ role }, index) => {
    if (index % 2 === 0 ? isQuestion(role) : isAnswer(role)) return;
    const wanted = index % 2 === 0 ? "a user or observation" : "an assistant or function";
    throw fields.fault(
      key,
      `has the role ${role} at turn ${index + 1}, where ${wanted} turn belongs`,
      "let the roles alternate",
    );
  });
  if (messages.length % 2 !== 0) throw fields.fault(key, "ends with a question", "end with an answer");
  return { prompt: messages.slice(0, -1), response: messages.slice(-1) };
}
