import type { AlignedRow, Message } from "../messages.ts";
import type { Columns, DatasetEntry } from "../registry/attributes.ts";
import type { Fields } from "./fields.ts";
import { toolsText } from "./tools-text.ts";

function historyOf(fields: Fields, key: string | undefined): Message[] {
  if (key === undefined || fields.value(key) === null) return [];
  return fields.list(key).flatMap((pair, index): Message[] => {
    const path = `${key}[${index}]`;
    const [question, answer] = Array.isArray(pair) && pair.length === 2 ? pair : [];
    if (typeof question !== "string" || typeof answer !== "string") {
      throw fields.fault(path, "is not a pair of strings", "give [question, answer]");
    }
    return [
      { role: "user", content: fields.checked(path, question) },
      { role: "assistant", content: fields.checked(path, answer) },
    ];
  });
}

/** The prompt and, on a new line, the query; empty parts leave no line. */
function question(fields: Fields, columns: Columns): string {
  const prompt = columns.prompt === undefined ? "" : fields.text(columns.prompt);
  return [prompt, fields.optionalText(columns.query)].filter((part) => part !== "").join("\n");
}

/** Fields that hold answers: two of a ranking, one of another row, none where there is none and none is needed. */
function answerKeys(fields: Fields, { columns, ranking }: DatasetEntry, needsResponse: boolean): string[] {
  const { response, chosen = "", rejected = "" } = columns;
  if (ranking) return [chosen, rejected];
  if (response === undefined) return [];
  return needsResponse || typeof fields.value(response) === "string" ? [response] : [];
}

/** Instruction rows. Without a response column they are unsupervised; with one, each row must hold a string. */
export function convertAlpaca(fields: Fields, entry: DatasetEntry, needsResponse: boolean): AlignedRow {
  const { columns } = entry;
  const prompt = historyOf(fields, columns.history);
  prompt.push({ role: "user", content: question(fields, columns) });
  const response = answerKeys(fields, entry, needsResponse).map((key): Message => {
    return { role: "assistant", content: fields.text(key) };
  });
  const system = fields.optionalText(columns.system);
  return { prompt, response, system, tools: toolsText(fields, columns.tools), place: fields.place };
}
