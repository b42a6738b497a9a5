export { applyChatTemplate, type ChatMessage, type ChatTemplateOptions, renderChatTemplate } from "./chat-template.ts";
export { TokenizerError, type TokenizerErrorCode } from "./errors.ts";
export { createGgufTokenizer } from "./gguf.ts";
export { createTokenizer } from "./hf-tokenizer.ts";
export {
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
