// The library's type declarations import without file extensions, which Node's resolution refuses; what is used of it
// is declared here.
import * as library from "@huggingface/jinja";

export interface Token {
  readonly type: string;
  readonly value: string;
}

/** A node of the syntax tree; what else it holds depends on its type. */
export interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** A value at run time. */
export interface Value {
  readonly type: string;
  readonly value: unknown;
}

export type Call = (args: Value[], scope: Scope) => Value;

export interface Scope {
  set(name: string, value: unknown): unknown;
}

export interface LibraryInterpreter {
  run(program: Node): Value;
  evaluate(node: Node | undefined, scope: Scope): Value;
  evaluateArguments(args: readonly Node[], scope: Scope): [Value[], Map<string, Value>];
  applyFilter(operand: Value, filter: Node, scope: Scope): Value;
}

interface Library {
  tokenize(source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }): Token[];
  parse(tokens: readonly Token[]): Node;
  Environment: new () => Scope;
  Interpreter: new (scope: Scope) => LibraryInterpreter;
}

const typed = library as unknown as Library;
export const parse: Library["parse"] = typed.parse;
export const Environment: Library["Environment"] = typed.Environment;
export const Interpreter: Library["Interpreter"] = typed.Interpreter;

/** Tokens under the whitespace rules that transformers sets. */
export function tokenize(source: string): Token[] {
  return typed.tokenize(source, { lstrip_blocks: true, trim_blocks: true });
}
