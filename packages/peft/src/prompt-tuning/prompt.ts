import { VirtualTokens, type Parameter } from "@welltempered/nn";
import type { Tensor } from "@welltempered/tensor";
import type { Attachment } from "../method.ts";

/** Prompt tuning (Lester et al. 2021): x = [P; E(tokens)], P [num_virtual_tokens, D] being all that trains. */
export class PromptTuning extends VirtualTokens implements Attachment {
  prompt_embeddings: Parameter;

  constructor(table: Parameter) {
    super();
    this.prompt_embeddings = table;
    table.trainable = true;
  }

  get length(): number {
    return this.prompt_embeddings.shape[0] ?? 0;
  }

  embedded(): Tensor {
    return this.prompt_embeddings.tensor;
  }

  adapterTensors(): [name: string, parameter: Parameter][] {
    return [["prompt_embeddings", this.prompt_embeddings]];
  }
}
