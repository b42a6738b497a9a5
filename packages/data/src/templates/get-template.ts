import type { SpecialTokenChanges, Tokenizer } from "@welltempered/tokenizer";

import { DataError, quote } from "../errors.ts";
import { completeSpec, createTemplate } from "./create.ts";
import { recoverTemplate } from "./from-jinja.ts";
import { findTemplate, templateNames } from "./registry.ts";
import { templateToJinja } from "./to-jinja.ts";
import type { Template, TemplateOptions, TemplateSpec } from "./types.ts";

/** A template and the tokenizer as the template needs it. */
export interface TemplateChoice {
  template: Template;
  tokenizer: Tokenizer;
  /** Tokens that the vocabulary lacked; the model's embeddings must grow by as many. */
  addedTokens: readonly string[];
}

/**
 * The template of this name; without a name the one inside the tokenizer's own Jinja, or `empty`. The tokenizer gets
 * the template's EOS, padding, stop words and Jinja. Throws for an unknown name.
 */
export function getTemplate(
  name: string | undefined,
  tokenizer: Tokenizer,
  options: TemplateOptions = {},
): TemplateChoice {
  const template = createTemplate(chooseSpec(name, tokenizer), options);
  return { template, ...fixSpecialTokens(template.spec, tokenizer) };
}

function chooseSpec(name: string | undefined, tokenizer: Tokenizer): TemplateSpec {
  if (name === undefined && tokenizer.chatTemplate !== undefined) return recoverTemplate(tokenizer);
  const spec = findTemplate(name ?? "empty");
  if (spec !== undefined) return spec;
  throw new DataError(
    "option",
    "template",
    `${quote(name ?? "")} is not known`,
    `choose one of ${templateNames.join(", ")}`,
  );
}

/** Gives the tokenizer the EOS, padding, stop words and Jinja of a template. */
export function fixSpecialTokens(partial: TemplateSpec, tokenizer: Tokenizer): Omit<TemplateChoice, "template"> {
  const spec = completeSpec(partial);
  const changes = neededTokens(spec, tokenizer);
  const changed = Object.keys(changes).length === 0 ? tokenizer : tokenizer.withSpecialTokens(changes);
  const words = [changes.eos, changes.pad, ...(changes.additional ?? [])].filter((word) => word !== undefined);
  const addedTokens = [...new Set(words)].filter((word) => tokenizer.tokenToId(word) === undefined);
  if (changed.chatTemplate !== undefined && !spec.replaceJinja) return { tokenizer: changed, addedTokens };
  return {
    tokenizer: changed.withSpecialTokens({ chatTemplate: templateToJinja(spec, changed) }),
    addedTokens,
  };
}

function neededTokens(spec: Required<TemplateSpec>, tokenizer: Tokenizer): SpecialTokenChanges {
  const { eos, pad, additional } = tokenizer.specialTokens;
  const [first, ...rest] = spec.stopWords;
  const wanted = (spec.replaceEos ? first : undefined) ?? eos?.token ?? "<|endoftext|>";
  const words = (spec.replaceEos ? rest : spec.stopWords).filter(
    (word) => !additional.some(({ token }) => token === word),
  );
  return {
    ...(wanted === eos?.token ? {} : { eos: wanted }),
    ...(pad === undefined ? { pad: wanted } : {}),
    ...(words.length > 0 ? { additional: words } : {}),
  };
}
