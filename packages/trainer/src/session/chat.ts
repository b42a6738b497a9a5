// openChat: a conversation with a model, one turn at a time.

import type { RunConfig } from "@welltempered/config";
import type { Message } from "@welltempered/data";
import type { Emit } from "@welltempered/events";
import { generate } from "@welltempered/generate";
import { answersInBf16, openEngine } from "./engine.ts";
import { loadModel, openBase } from "./load-model.ts";
import { loadText } from "./load-text.ts";
import { generateOptions } from "./predict.ts";
import { resizeVocab } from "./vocabulary.ts";

export interface ChatSession {
  /** Answers a message; `onToken` gets the text as it grows. Ends early when `signal` fires. */
  send(text: string, onToken: (text: string) => void, signal?: AbortSignal): Promise<string>;
  /** Forgets the conversation. */
  clear(): void;
  dispose(): void;
}

/** Loads the model of a configuration for a conversation. @throws {UserError} */
export async function openChat(config: RunConfig, emit: Emit): Promise<ChatSession> {
  const base = openBase(config);
  const narrows = answersInBf16(config);
  const engine = openEngine(config, narrows);
  const text = await loadText(base, config, emit);
  const { model } = loadModel(resizeVocab(base, text, config, emit), {
    engine,
    config: { ...config, doTrain: false },
    narrows,
    emit,
  });
  base.weights.close();
  let history: Message[] = [];
  return {
    send: async (content, onToken, signal) => {
      const turn: Message[] = [...history, { role: "user", content }];
      const [prompt] = text.template.encodeOneturn(text.tokenizer, [...turn, { role: "assistant", content: "" }]);
      const promptIds = Int32Array.from(prompt);
      const stream = text.tokenizer.decodeStream({ skipSpecialTokens: config.skipSpecialTokens });
      let answer = "";
      const grow = (piece: string): void => {
        answer += piece;
        if (piece !== "") onToken(piece);
      };
      const options = generateOptions(config, text, [{ promptIds }]);
      await generate(model, [promptIds], { ...options, ...(signal === undefined ? {} : { signal }) }, (token) =>
        grow(stream.push(token)),
      );
      grow(stream.flush());
      history = [...turn, { role: "assistant", content: answer }];
      return answer;
    },
    clear: () => {
      history = [];
    },
    dispose: () => model.dispose(),
  };
}
