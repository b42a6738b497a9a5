// What the demo shows and counts: pure functions over predictions and losses.
import { figure, oneLine } from "@welltempered/events";

export interface Question {
  question: string;
  expected: string;
}

/** A line of generated_predictions.jsonl. */
interface Prediction {
  predict: string;
  label: string;
}

/** Reads generated_predictions.jsonl into its answers, in the order of the data. */
export function answersOf(jsonl: string): Prediction[] {
  return jsonl
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Prediction);
}

/** Share of answers that equal the label but for surrounding spaces, in percent. */
export function exactMatch(predictions: readonly Prediction[]): number {
  if (predictions.length === 0) return 0;
  const right = predictions.filter(({ predict, label }) => predict.trim() === label.trim()).length;
  return (100 * right) / predictions.length;
}

/** Questions of an alpaca data set. */
export function questionsOf(json: string): Question[] {
  const rows = JSON.parse(json) as { instruction: string; input?: string; output: string }[];
  return rows.map(({ instruction, input, output }) => ({
    question: input ? `${instruction} ${input}` : instruction,
    expected: output,
  }));
}

/** `count` row numbers spread evenly over `total`. */
export function spread(total: number, count: number): number[] {
  const shown = Math.min(total, count);
  return Array.from({ length: shown }, (_, i) => Math.floor(((i + 0.5) * total) / shown));
}

/** Question, answer and, when it differs, what was expected. */
export function answerLines(
  questions: readonly Question[],
  predictions: readonly Prediction[],
  rows: readonly number[],
): string {
  return rows
    .map((row) => {
      const { question = "", expected = "" } = questions[row] ?? {};
      const answer = predictions[row]?.predict.trim() ?? "";
      const right = answer === expected.trim();
      const wanted = right ? "" : `\n      want: ${oneLine(expected)}`;
      return `  ${right ? "✓" : "✗"} ${oneLine(question)}\n       got: ${short(oneLine(answer))}${wanted}\n`;
    })
    .join("");
}

function short(text: string): string {
  return text.length > 100 ? `${text.slice(0, 99)}…` : text;
}

const height = 6;

/** A small plot of the loss over the run, `width` characters wide. */
export function textPlot(losses: readonly number[], width = 60): string {
  if (losses.length === 0) return "";
  const columns = Math.min(width, losses.length);
  const means = Array.from({ length: columns }, (_, i) => {
    const part = losses.slice(
      Math.floor((i * losses.length) / columns),
      Math.floor(((i + 1) * losses.length) / columns),
    );
    return part.reduce((sum, loss) => sum + loss, 0) / part.length;
  });
  const top = Math.max(...means);
  const bottom = Math.min(...means);
  const level = means.map((mean) =>
    top === bottom ? 0 : Math.round(((mean - bottom) / (top - bottom)) * (height - 1)),
  );
  const rows = Array.from({ length: height }, (_, i) => {
    const line = level.map((l) => (l === height - 1 - i ? "●" : " ")).join("");
    const label = i === 0 ? figure(top) : i === height - 1 ? figure(bottom) : "";
    return `${label.padStart(9)} │${line.trimEnd()}`;
  });
  return `${rows.join("\n")}\n${" ".repeat(10)}└${"─".repeat(columns)} loss over ${losses.length} logs\n`;
}
