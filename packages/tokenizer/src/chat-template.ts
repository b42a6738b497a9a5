// Chat templates are Jinja as transformers sets it up: the library renders, jinja/ keeps it within bounds.
import { TokenizerError } from "./errors.ts";
import { type CompiledTemplate, compileTemplate, HINT, templateError } from "./jinja/compile.ts";
import { BoundedInterpreter } from "./jinja/interpreter.ts";
import { Environment, type Scope } from "./jinja/library.ts";
import { Budget, checkSize, MAX_RANGE, NESTED, TemplateLimitError, TOO_LARGE } from "./jinja/limits.ts";
import { strftime } from "./jinja/strftime.ts";
import { type Tokenizer } from "./types.ts";

/** A message as a template sees it; further keys (tool_calls, name) reach it too. */
export interface ChatMessage {
  role: string;
  content?: unknown;
  [key: string]: unknown;
}

export interface ChatTemplateOptions {
  /** Ends with the start of an answer. */
  addGenerationPrompt?: boolean;
  tools?: readonly unknown[];
  documents?: readonly unknown[];
  /** Further variables of the template. */
  variables?: Readonly<Record<string, unknown>>;
  /** What `strftime_now` tells; the present by default. */
  now?: Date;
  /** Name for messages. */
  file?: string;
}

/** `raise_exception('…')` of a template. */
class RaisedError extends Error {}

const FILE = "chat_template.jinja";

/** The text of a conversation under the tokenizer's own template; throws where it has none or the template fails. */
export function applyChatTemplate(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatTemplateOptions = {},
): string {
  const { chatTemplate, specialTokens } = tokenizer;
  if (chatTemplate === undefined) {
    throw new TokenizerError(
      "template",
      options.file ?? FILE,
      "the model has no chat template",
      "set `template` to a named one",
    );
  }
  const variables: Record<string, unknown> = {};
  for (const role of ["bos", "eos", "pad", "unk"] as const) {
    const token = specialTokens[role];
    if (token !== undefined) variables[`${role}_token`] = token.token;
  }
  return renderChatTemplate(chatTemplate, messages, {
    ...options,
    variables: { ...variables, ...options.variables },
  });
}

/** The text that a Jinja template makes of a conversation; bounded in time, memory and output. */
export function renderChatTemplate(
  source: string,
  messages: readonly ChatMessage[],
  options: ChatTemplateOptions = {},
): string {
  const file = options.file ?? FILE;
  const template = compileTemplate(source, file);
  const scope = new Environment();
  const interpreter = new BoundedInterpreter(scope, new Budget(), template.offsets);
  try {
    setGlobals(scope, messages, options);
    const text = String(interpreter.run(template.program).value);
    checkSize(text.length);
    return text;
  } catch (error) {
    throw explain(error, template, file, interpreter.current && template.offsets.get(interpreter.current));
  }
}

function explain(error: unknown, { source }: CompiledTemplate, file: string, offset: number | undefined): unknown {
  if (!(error instanceof Error)) return error;
  if (error instanceof RaisedError)
    return templateError(file, source, offset, error.message, "change the conversation or the template");
  if (error instanceof TemplateLimitError) return templateError(file, source, offset, error.message);
  if (error instanceof RangeError)
    return templateError(file, source, offset, /string length/.test(error.message) ? TOO_LARGE : NESTED);
  return templateError(file, source, offset, `cannot be rendered (${error.message})`, HINT);
}

function setGlobals(scope: Scope, messages: readonly ChatMessage[], options: ChatTemplateOptions): void {
  const { addGenerationPrompt = false, tools, documents, variables = {}, now = new Date() } = options;
  const globals: Record<string, unknown> = {
    true: true,
    false: false,
    none: null,
    True: true,
    False: false,
    None: null,
    range,
    raise_exception: (message: unknown): never => {
      throw new RaisedError(String(message));
    },
    strftime_now: (format: unknown): string => strftime(now, String(format)),
    messages,
    tools: tools ?? null,
    documents: documents ?? null,
    add_generation_prompt: addGenerationPrompt,
    ...variables,
  };
  for (const [name, value] of Object.entries(globals)) scope.set(name, value);
}

function range(first: unknown, second?: unknown, third?: unknown): number[] {
  const numbers = [first, second, third].filter((value) => value !== undefined);
  if (!numbers.every((value) => typeof value === "number" && Number.isInteger(value)))
    throw new Error("range() needs whole numbers");
  const [start, stop] = second === undefined ? [0, Number(first)] : [Number(first), Number(second)];
  const step = third === undefined ? 1 : Number(third);
  if (step === 0) throw new Error("range() needs a step other than 0");
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > MAX_RANGE) throw new TemplateLimitError(`asks for a range of more than ${MAX_RANGE}`);
  return Array.from({ length }, (_, index) => start + index * step);
}
