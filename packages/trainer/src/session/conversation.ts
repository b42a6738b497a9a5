// A conversation with a model, one turn at a time.

import type { RunConfig } from "@welltempered/config";
import type { Message, TemplateChoice } from "@welltempered/data";
import { generate } from "@welltempered/generate";
import type { CausalLM } from "@welltempered/nn";
import { generateOptions } from "./answers.ts";

export interface ChatSession {
  /** Answers a message; `onToken` gets the text as it grows. Ends early when `signal` fires. */
  send(text: string, onToken: (text: string) => void, signal?: AbortSignal): Promise<string>;
  /** Forgets the conversation. */
  clear(): void;
  dispose(): void;
}

export interface Partner {
  config: RunConfig;
  text: TemplateChoice;
  model: CausalLM;
}

/** Starts a conversation; its end is the model's. */
export function conversation({ config, text, model }: Partner): ChatSession {
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
