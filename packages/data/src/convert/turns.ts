import type { Message, Role } from "../messages.ts";
import type { Columns } from "../registry/attributes.ts";
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

/** Checks that questions (user, observation) and answers (assistant, function) take turns, a question first. */
function checkTurns(fields: Fields, key: string, messages: readonly Message[]): void {
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
}

/** A conversation that ends with its answer. */
export function splitTurns(fields: Fields, key: string, messages: readonly Message[]): Conversation {
  checkTurns(fields, key, messages);
  if (messages.length % 2 !== 0) throw fields.fault(key, "ends with a question", "end with an answer");
  return { prompt: messages.slice(0, -1), response: messages.slice(-1) };
}

/** A conversation that ends with a question, and two answers to it that stand in fields of their own. */
export function rankedTurns(
  fields: Fields,
  { messages: key = "", chosen = "", rejected = "" }: Columns,
  messages: readonly Message[],
  read: (message: Fields) => Message,
): Conversation {
  checkTurns(fields, key, messages);
  if (messages.length % 2 === 0)
    throw fields.fault(key, "ends with an answer", `end with a question; the answers are ${chosen} and ${rejected}`);
  const response = [chosen, rejected].map((name) => {
    const answer = read(fields.object(name));
    if (isAnswer(answer.role)) return answer;
    throw fields.fault(name, `has the role ${answer.role}`, "give an assistant or function turn");
  });
  return { prompt: [...messages], response };
}
