// The library's interpreter has no limits. This one counts every evaluation, refuses operations whose result would be
// too large before they run, and remembers which statement it is in.
import { type Call, Interpreter, type Node, type Scope, type Value } from "./library.ts";
import { type Budget, checkSize, MAX_RANGE, MAX_SIZE, TemplateLimitError, TOO_LARGE } from "./limits.ts";
import { pythonLength, pythonStrip } from "./python-text.ts";

const MAKES_CONTAINERS: ReadonlySet<string> = new Set([
  "ArrayLiteral",
  "TupleLiteral",
  "ObjectLiteral",
  "CallExpression",
  "FilterExpression",
  "BinaryExpression",
]);

/** Nodes of a block that are no output. */
const STATEMENTS: ReadonlySet<string> = new Set([
  "Set",
  "If",
  "For",
  "Macro",
  "CallStatement",
  "FilterStatement",
  "Break",
  "Continue",
  "Comment",
]);

export class BoundedInterpreter extends Interpreter {
  /** The statement or output being evaluated. */
  current: Node | undefined;
  private readonly budget: Budget;
  private readonly offsets: ReadonlyMap<Node, number>;
  private readonly loopSources = new WeakSet<Node>();
  private readonly methodObjects = new WeakSet<Node>();
  private methodObject: Value | undefined;
  private filter: { name: string; operand: Value } | undefined;

  constructor(scope: Scope, budget: Budget, offsets: ReadonlyMap<Node, number>) {
    super(scope);
    this.budget = budget;
    this.offsets = offsets;
  }

  override evaluate(node: Node | undefined, scope: Scope): Value {
    if (node === undefined) return super.evaluate(node, scope);
    this.budget.enter();
    const inBlock = this.offsets.has(node);
    if (inBlock) this.current = node;
    this.expect(node);
    try {
      return this.inspect(node, super.evaluate(node, scope), scope, inBlock);
    } finally {
      this.budget.leave();
    }
  }

  /** Marks children whose values matter to a check. */
  private expect(node: Node): void {
    if (node.type === "For") {
      const iterable = node["iterable"] as Node;
      this.loopSources.add(iterable.type === "SelectExpression" ? (iterable["lhs"] as Node) : iterable);
    } else if (node.type === "MemberExpression") this.methodObjects.add(node["object"] as Node);
  }

  private inspect(node: Node, value: Value, scope: Scope, inBlock: boolean): Value {
    if (typeof value.value === "string") checkSize(value.value.length);
    if (inBlock && typeof value.value === "string") this.budget.emit(value.value.length);
    if (this.loopSources.has(node)) this.budget.burn(entriesOf(value).length);
    if (MAKES_CONTAINERS.has(node.type)) this.measured(value);
    if (node.type === "Set" && (node["assignee"] as Node).type === "MemberExpression") {
      this.measured(super.evaluate((node["assignee"] as Node)["object"] as Node, scope));
    }
    const guarded = node.type === "MemberExpression" ? this.guardMethod(node, value, scope) : value;
    if (this.methodObjects.has(node)) this.methodObject = value;
    return inBlock && !STATEMENTS.has(node.type) ? this.printed(guarded, scope) : guarded;
  }

  /** An output as Python prints it: the library writes `true` and leaves `None` out. */
  private printed(value: Value, scope: Scope): Value {
    if (value.type === "BooleanValue") return this.literal(value.value === true ? "True" : "False", scope);
    return value.type === "NullValue" ? this.literal("None", scope) : value;
  }

  private measured(value: Value): void {
    if (typeof value.value !== "object" || value.value === null) return;
    measure(value);
    this.budget.checkTime();
  }

  /** `text.replace(…)` and `text.split(…)` are checked when they are called, with their arguments. */
  private guardMethod(node: Node, value: Value, scope: Scope): Value {
    const text = this.methodObject?.value;
    if (value.type !== "FunctionValue" || typeof text !== "string") return value;
    const name = String((node["property"] as Node)["value"]);
    const call = value.value as Call;
    const guarded: Call = (args, inner) => {
      if (name === "strip" || name === "lstrip" || name === "rstrip") {
        const [characters] = args.map((argument) => argument.value);
        return this.literal(pythonStrip(text, name, typeof characters === "string" ? characters : undefined), scope);
      }
      checkMethod(name, text, args);
      return call(args, inner);
    };
    return new (value.constructor as new (call: Call) => Value)(guarded);
  }

  private literal(value: string | number, scope: Scope): Value {
    return super.evaluate({ type: typeof value === "string" ? "StringLiteral" : "IntegerLiteral", value }, scope);
  }

  /** Filters on texts that the library computes in UTF-16 units or with JavaScript's white space. */
  private textFilter(name: string, operand: Value, scope: Scope): Value | undefined {
    if (typeof operand.value !== "string") return undefined;
    if (name === "length") return this.literal(pythonLength(operand.value), scope);
    return name === "trim" ? this.literal(pythonStrip(operand.value, "strip"), scope) : undefined;
  }

  override applyFilter(operand: Value, filter: Node, scope: Scope): Value {
    const callee = filter.type === "CallExpression" ? (filter["callee"] as Node) : filter;
    const name = String(callee["value"]);
    const own = filter.type === "CallExpression" ? undefined : this.textFilter(name, operand, scope);
    if (own !== undefined) return own;
    this.filter = { name, operand };
    if (filter.type !== "CallExpression") this.checkFilter([], new Map());
    const value = super.applyFilter(operand, filter, scope);
    this.filter = undefined;
    this.budget.checkTime();
    return value ?? super.evaluate(undefined, scope);
  }

  override evaluateArguments(args: readonly Node[], scope: Scope): [Value[], Map<string, Value>] {
    const { filter } = this;
    this.filter = undefined;
    const evaluated = super.evaluateArguments(args, scope);
    this.filter = filter;
    this.checkFilter(...evaluated);
    return evaluated;
  }

  private checkFilter(args: readonly Value[], named: ReadonlyMap<string, Value>): void {
    if (this.filter === undefined) return;
    const { name, operand } = this.filter;
    this.filter = undefined;
    checkFilter(name, operand, args, named);
  }
}

function entriesOf(value: Value): readonly unknown[] {
  if (Array.isArray(value.value)) return value.value as unknown[];
  return value.value instanceof Map ? Array.from(value.value.keys()) : [];
}

/** Values inside a value, at any depth, and the depth; throws where there are too many (a cycle has no end). */
function measure(value: Value): { size: number; depth: number } {
  let size = 0;
  let deepest = 0;
  const open: [Value, number][] = [[value, 1]];
  for (let top = open.pop(); top !== undefined; top = open.pop()) {
    const [{ value: inner }, depth] = top;
    size += 1 + (typeof inner === "string" ? inner.length : 0);
    deepest = Math.max(deepest, depth);
    const children = Array.isArray(inner)
      ? (inner as Value[])
      : inner instanceof Map
        ? ([...inner.values()] as Value[])
        : [];
    if (size + open.length + children.length > MAX_SIZE) throw new TemplateLimitError(TOO_LARGE);
    for (const child of children) open.push([child, depth + 1]);
  }
  return { size, depth: deepest };
}

function countOf(text: string, part: string): number {
  if (part === "") return text.length + 1;
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count += 1;
  return count;
}

function checkMethod(name: string, text: string, args: readonly Value[]): void {
  const [first, second] = args.map((argument) => argument.value);
  if (name === "replace" && typeof first === "string" && typeof second === "string")
    checkSize(text.length + countOf(text, first) * second.length);
  if (name === "split") checkCount(typeof first === "string" ? countOf(text, first) : text.length / 8);
}

function checkCount(count: number): void {
  if (count > MAX_RANGE) throw new TemplateLimitError(TOO_LARGE);
}

function checkFilter(name: string, operand: Value, args: readonly Value[], named: ReadonlyMap<string, Value>): void {
  const argument = (index: number, key: string): unknown => (args[index] ?? named.get(key))?.value;
  const text = typeof operand.value === "string" ? operand.value : "";
  const { size, depth } = measure(operand);
  switch (name) {
    case "join":
      return checkSize(size * (1 + String(argument(0, "separator") ?? "").length));
    case "replace":
      return checkMethod(name, text, args);
    case "indent":
      return checkSize(text.length + countOf(text, "\n") * Math.max(0, Number(argument(0, "width") ?? 4)));
    case "tojson":
      return checkSize(
        (size * depth * Math.max(1, Number(argument(-1, "indent") ?? 1))) / 4 + separators(named) * size,
      );
    default:
  }
}

function separators(named: ReadonlyMap<string, Value>): number {
  const given = named.get("separators")?.value;
  return Array.isArray(given) ? (given as Value[]).reduce((total, part) => total + String(part.value).length, 0) : 0;
}
