// openChat: a conversation with the model of a configuration.

import type { RunConfig } from "@welltempered/config";
import type { Emit } from "@welltempered/events";
import { conversation, type ChatSession } from "./conversation.ts";
import { answersIn, openEngine } from "./engine.ts";
import { loadModel } from "./load-model.ts";
import { openBase } from "./open-base.ts";
import { loadText } from "./load-text.ts";
import { resizeVocab } from "./vocabulary.ts";

/** Loads the model of a configuration for a conversation. @throws {UserError} */
export async function openChat(config: RunConfig, emit: Emit): Promise<ChatSession> {
  const base = openBase(config);
  const narrows = answersIn(config);
  const engine = openEngine(config, narrows);
  const text = await loadText(base, config, emit);
  const { model } = loadModel(resizeVocab(base, text, config, emit), {
    engine,
    config: { ...config, doTrain: false },
    narrows,
    emit,
  });
  base.weights.close();
  return conversation({ config, text, model });
}
