// The rows of the data set: to learn from, or held out with what the model answers to them.
import type { Row } from "./protocol.ts";

export type View = "held" | "train";

/** Answers of the base model and of the tuned one, as far as they are known. */
export interface Answers {
  before?: readonly string[] | undefined;
  after?: readonly string[] | undefined;
}

const columns: Record<View, readonly string[]> = {
  train: ["Question", "Answer to learn"],
  held: ["Question", "Expected", "Base", "Tuned"],
};

/** Fills `place` with a table. */
export function showRows(place: HTMLElement, view: View, rows: readonly Row[], { before, after }: Answers): void {
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const name of columns[view]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const [index, { question, answer }] of rows.entries()) {
    const line = body.insertRow();
    add(line, columns[view][0], question);
    add(line, columns[view][1], answer, "command");
    if (view === "train") continue;
    for (const [at, answers] of [before, after].entries()) {
      const given = answers?.[index];
      const verdict = given === undefined ? "open" : given.trim() === answer.trim() ? "right" : "wrong";
      add(line, columns.held[at + 2], given?.trim() ?? "", `command ${verdict}`);
    }
  }
  place.replaceChildren(table);
}

function add(line: HTMLTableRowElement, label = "", text = "", kind = ""): void {
  const cell = line.insertCell();
  cell.dataset["label"] = label;
  cell.className = kind;
  const inner = document.createElement(kind === "" ? "span" : "code");
  inner.textContent = text;
  cell.append(inner);
}
