import { type Json, type JsonRecord, fail, isRecord, shown } from "../files/tokenizer-json.ts";

/** Ids that go around a single text. */
export interface Frame {
  before: readonly number[];
  after: readonly number[];
}

const NOTHING: Frame = { before: [], after: [] };

/** What the post-processor of a tokenizer.json adds to one text; throws for a token that does not exist. */
export function readFrame(
  json: JsonRecord | undefined,
  idOf: (token: string) => number | undefined,
  place: string,
): Frame {
  if (json === undefined) return NOTHING;
  switch (json["type"]) {
    case "ByteLevel":
      return NOTHING;
    case "TemplateProcessing":
      return templateFrame(json, idOf, place);
    case "BertProcessing":
    case "RobertaProcessing":
      return {
        before: [pairId(json["cls"], idOf, place)],
        after: [pairId(json["sep"], idOf, place)],
      };
    case "Sequence":
      return sequenceFrame(json["processors"], idOf, place);
    default:
      return fail(place, `the type ${shown(json["type"])} is not known`, "use a model with another tokenizer");
  }
}

function sequenceFrame(parts: Json | undefined, idOf: (token: string) => number | undefined, place: string): Frame {
  if (!Array.isArray(parts)) return fail(place, "the sequence has no processors");
  let frame = NOTHING;
  for (const [index, part] of (parts as readonly Json[]).entries()) {
    if (!isRecord(part)) return fail(`${place}[${index}]`, "is not an object");
    const inner = readFrame(part, idOf, `${place}[${index}]`);
    frame = { before: [...inner.before, ...frame.before], after: [...frame.after, ...inner.after] };
  }
  return frame;
}

function pairId(pair: Json | undefined, idOf: (token: string) => number | undefined, place: string): number {
  const token = Array.isArray(pair) ? (pair as Json[])[0] : undefined;
  return known(token, idOf, place);
}

function known(token: Json | undefined, idOf: (token: string) => number | undefined, place: string): number {
  const id = typeof token === "string" ? idOf(token) : undefined;
  return id ?? fail(place, `the special token ${shown(token)} is not in the vocabulary`);
}

function templateFrame(json: JsonRecord, idOf: (token: string) => number | undefined, place: string): Frame {
  const single = json["single"];
  if (!Array.isArray(single)) return fail(place, "the template has no list `single`");
  const special = isRecord(json["special_tokens"]) ? json["special_tokens"] : {};
  const before: number[] = [];
  const after: number[] = [];
  let side = before;
  for (const item of single as readonly Json[]) {
    const entry = isRecord(item) ? item["SpecialToken"] : undefined;
    if (isRecord(entry)) side.push(...specialIds(entry["id"], special, idOf, place));
    else side = after;
  }
  return { before, after };
}

/** A template names an entry of `special_tokens`, which lists the ids it stands for. */
function specialIds(
  name: Json | undefined,
  special: JsonRecord,
  idOf: (token: string) => number | undefined,
  place: string,
): number[] {
  const entry = typeof name === "string" ? special[name] : undefined;
  if (!isRecord(entry) || !Array.isArray(entry["ids"]))
    fail(place, `the template names ${shown(name)}, which special_tokens does not list`);
  return [known(name, idOf, place)];
}
