import {
  controlToken,
  readAddedTokensDecoder,
  readChatTemplate,
  readRoles,
  type Role,
  ROLES,
  type RoleTokens,
} from "./files/special-tokens.ts";
import { addedTokenJson, editFiles, stringify } from "./files/output.ts";
import {
  type AddedToken,
  checkTokenizerJson,
  type JsonRecord,
  parseRecord,
  type TokenizerSpec,
} from "./files/tokenizer-json.ts";
import { TokenizerError } from "./errors.ts";
import { createEncode, createEngine, type Encode, type Engine } from "./pipeline/engine.ts";
import { isByteLevel } from "./pipeline/decoders.ts";
import { type Frame, readFrame } from "./pipeline/post-processor.ts";
import { byteStream, rescanStream } from "./pipeline/stream-decoder.ts";
import {
  type DecodeOptions,
  type EncodeOptions,
  type SpecialToken,
  type SpecialTokenChanges,
  type SpecialTokens,
  type StreamDecoder,
  type TextPart,
  type Tokenizer,
  type TokenizerFiles,
} from "./types.ts";

/** Everything a tokenizer is made of; two tokenizers of one vocabulary share the engine. */
interface State {
  engine: Engine;
  added: readonly AddedToken[];
  special: SpecialTokens;
  config: JsonRecord;
  chatTemplate: string | undefined;
  /** The files as they were read. */
  source: () => TokenizerFiles;
  edited: boolean;
  /** Of these added tokens, where they are known already. */
  names?: Names | undefined;
}

/** Tokens to ids and back. Tens of milliseconds to make of a large vocabulary. */
interface Names {
  idOf: ReadonlyMap<string, number>;
  tokenOf: ReadonlyMap<number, string>;
}

function namesOf(engine: Engine, added: readonly AddedToken[]): Names {
  const { vocab } = engine.spec.model;
  const known = added.every(({ content, id }) => vocab.get(content) === id);
  const idOf = known ? vocab : new Map([...vocab, ...added.map(({ content, id }) => [content, id] as const)]);
  const tokenOf = new Map<number, string>();
  for (const [token, id] of idOf) tokenOf.set(id, token);
  return { idOf, tokenOf };
}

/** Text files of a tokenizer by name; `tokenizer.json` must be among them. `origin` is a folder for messages. */
export function createTokenizer(files: TokenizerFiles, origin: string = ""): Tokenizer {
  const place = (name: string): string => (origin === "" ? name : `${origin}/${name}`);
  const text = files["tokenizer.json"];
  if (text === undefined)
    throw new TokenizerError("file", place("tokenizer.json"), "is missing", "add the model's tokenizer.json");
  const file = place("tokenizer.json");
  return tokenizerOf(checkTokenizerJson(parseRecord(text, file), file), files, () => files, origin);
}

/** The tokenizer of a checked tokenizer.json that is made where somebody asks for files, with `files` beside it. */
export function createFromSpec(
  spec: TokenizerSpec,
  json: () => JsonRecord,
  files: TokenizerFiles,
  origin: string,
): Tokenizer {
  return tokenizerOf(spec, files, () => ({ "tokenizer.json": stringify(json()), ...files }), origin);
}

function tokenizerOf(
  spec: TokenizerSpec,
  files: TokenizerFiles,
  source: () => TokenizerFiles,
  origin: string,
): Tokenizer {
  const place = (name: string): string => (origin === "" ? name : `${origin}/${name}`);
  const engine = createEngine(spec);
  const read = (name: string): JsonRecord => parseRecord(files[name] ?? "{}", place(name));
  const config = read("tokenizer_config.json");
  const names = readRoles(config, read("special_tokens_map.json"));
  const added = completeAdded(engine, readAddedTokensDecoder(config), names);
  const special = resolveRoles(names, added);
  const chatTemplate = files["chat_template.jinja"] ?? readChatTemplate(config);
  return new HfTokenizer({
    engine,
    added,
    special,
    config,
    chatTemplate,
    source,
    edited: false,
  });
}

/** Added tokens of all files; control tokens known by name alone get an id. */
function completeAdded(engine: Engine, listed: readonly AddedToken[], names: RoleTokens): AddedToken[] {
  const byContent = new Map<string, AddedToken>();
  for (const token of [...engine.spec.addedTokens, ...listed])
    if (!byContent.has(token.content)) byContent.set(token.content, token);
  return addControls(engine, [...byContent.values()], [...Object.values(names.roles), ...names.additional]);
}

/** The added tokens with these control tokens among them; unknown ones are appended to the vocabulary. */
function addControls(engine: Engine, added: readonly AddedToken[], controls: readonly string[]): AddedToken[] {
  const tokens = new Map(added.map((token) => [token.content, token]));
  for (const content of controls) {
    const known = tokens.get(content);
    if (known?.special === true) continue;
    const id = known?.id ?? engine.spec.model.vocab.get(content) ?? nextId(engine, tokens.values());
    tokens.set(content, known === undefined ? controlToken(content, id) : { ...known, special: true });
  }
  return [...tokens.values()];
}

/** As `tokenizers` numbers new tokens: after the vocabulary and after the highest added one. */
function nextId(engine: Engine, added: Iterable<AddedToken>): number {
  let next = engine.spec.model.vocab.size;
  for (const { id } of added) next = Math.max(next, id + 1);
  return next;
}

function resolveRoles(names: RoleTokens, added: readonly AddedToken[]): SpecialTokens {
  const find = (content: string): SpecialToken[] =>
    added.filter((token) => token.content === content).map(({ id }) => ({ token: content, id }));
  const special: Partial<Record<Role, SpecialToken>> = {};
  for (const role of ROLES) {
    const [token] = find(names.roles[role] ?? "");
    if (token !== undefined) special[role] = token;
  }
  return { ...special, additional: names.additional.flatMap(find) };
}

class HfTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly specialTokens: SpecialTokens;
  readonly addBosToken: boolean;
  readonly addEosToken: boolean;
  readonly chatTemplate?: string;
  private readonly state: State;
  private readonly run: Encode;
  private readonly frame: Frame;
  private readonly idOf: ReadonlyMap<string, number>;
  private readonly tokenOf: ReadonlyMap<number, string>;
  private readonly specialIds: ReadonlySet<number>;

  constructor(state: State) {
    const { engine, added, special, config } = state;
    this.state = state;
    this.run = createEncode(engine, added);
    const { idOf, tokenOf } = state.names ?? namesOf(engine, added);
    this.idOf = idOf;
    this.tokenOf = tokenOf;
    this.specialIds = new Set(added.filter((token) => token.special).map(({ id }) => id));
    this.vocabSize = this.tokenOf.size;
    this.specialTokens = special;
    this.frame = frameOf(engine, config, special, (token) => this.idOf.get(token));
    this.addBosToken = special.bos !== undefined && this.frame.before.includes(special.bos.id);
    this.addEosToken = special.eos !== undefined && this.frame.after.includes(special.eos.id);
    if (state.chatTemplate !== undefined) this.chatTemplate = state.chatTemplate;
  }

  get files(): TokenizerFiles {
    const { source, edited, added, chatTemplate } = this.state;
    if (!edited) return source();
    return editFiles(source(), {
      addedTokens: added,
      specialTokens: this.specialTokens,
      chatTemplate,
    });
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    const trusted = options.allowSpecial === true;
    const ids = this.run(text, () => trusted);
    return options.addSpecialTokens === true ? [...this.frame.before, ...ids, ...this.frame.after] : ids;
  }

  encodeParts(parts: readonly TextPart[]): number[] {
    const text = parts.map((part) => part.text).join("");
    const ranges: [number, number][] = [];
    let at = 0;
    for (const part of parts) {
      if (part.trusted) ranges.push([at, at + part.text.length]);
      at += part.text.length;
    }
    return this.run(text, (start, end) => ranges.some(([from, to]) => from <= start && end <= to));
  }

  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const tokens = ids.map((id) => this.visibleToken(id, options)).filter((token) => token !== undefined);
    return tokens.length === 0 ? "" : this.state.engine.decode(tokens).join("");
  }

  decodeStream(options: DecodeOptions = {}): StreamDecoder {
    if (isByteLevel(this.state.engine.spec.decoder)) return byteStream((id) => this.visibleToken(id, options));
    return rescanStream((ids) => this.decode(ids, options));
  }

  private visibleToken(id: number, options: DecodeOptions): string | undefined {
    return options.skipSpecialTokens === true && this.specialIds.has(id) ? undefined : this.tokenOf.get(id);
  }

  tokenToId(token: string): number | undefined {
    return this.idOf.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.tokenOf.get(id);
  }

  isSpecial(id: number): boolean {
    return this.specialIds.has(id);
  }

  withSpecialTokens(changes: SpecialTokenChanges): Tokenizer {
    const { engine, chatTemplate } = this.state;
    const names = changedNames(this.specialTokens, changes);
    const added = addControls(engine, this.state.added, [...Object.values(names.roles), ...names.additional]);
    const special = resolveRoles(names, added);
    return new HfTokenizer({
      ...this.state,
      added,
      special,
      chatTemplate: changes.chatTemplate ?? chatTemplate,
      edited: true,
      // `addControls` appends and marks, so as many are the same.
      names: added.length === this.state.added.length ? { idOf: this.idOf, tokenOf: this.tokenOf } : undefined,
    });
  }

  withAddedTokens(contents: readonly string[], special: boolean): Tokenizer {
    const added = new Map(this.state.added.map((token) => [token.content, token]));
    for (const content of contents) {
      const id = this.idOf.get(content) ?? added.get(content)?.id ?? nextId(this.state.engine, added.values());
      added.set(content, { ...controlToken(content, id), normalized: !special, special });
    }
    const tokens = [...added.values()];
    const sameTokens = stringify(tokens.map(addedTokenJson)) === stringify(this.state.added.map(addedTokenJson));
    return sameTokens ? this : new HfTokenizer({ ...this.state, added: tokens, edited: true, names: undefined });
  }
}

function changedNames(special: SpecialTokens, changes: SpecialTokenChanges): RoleTokens {
  const roles: Partial<Record<Role, string>> = {};
  for (const role of ROLES) {
    const token = (role === "unk" ? undefined : changes[role]) ?? special[role]?.token;
    if (token !== undefined) roles[role] = token;
  }
  const additional = special.additional.map(({ token }) => token);
  return { roles, additional: [...new Set([...additional, ...(changes.additional ?? [])])] };
}

/** The post-processor's frame; without one, `add_bos_token` and `add_eos_token` of the configuration decide. */
function frameOf(
  engine: Engine,
  config: JsonRecord,
  special: SpecialTokens,
  idOf: (token: string) => number | undefined,
): Frame {
  const frame = readFrame(engine.spec.postProcessor, idOf, `${engine.spec.file}:post_processor`);
  if (frame.before.length + frame.after.length > 0) return frame;
  return {
    before: config["add_bos_token"] === true && special.bos !== undefined ? [special.bos.id] : [],
    after: config["add_eos_token"] === true && special.eos !== undefined ? [special.eos.id] : [],
  };
}
