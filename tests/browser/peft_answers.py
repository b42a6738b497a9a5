"""What transformers and peft answer, greedily: peft_answers.py BASE ADAPTER PROMPTS LENGTH, prompts and answers as JSON lists."""

import json
import sys
import warnings
from pathlib import Path

# peft only warns when an adapter's keys do not match.
warnings.simplefilter("error")

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(base: str, adapter: str, prompts: str, length: str) -> None:
    torch.set_num_threads(2)
    tokenizer = AutoTokenizer.from_pretrained(base)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(plain, adapter).eval()
    answers = []
    for prompt in json.loads(Path(prompts).read_text()):
        inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt", return_token_type_ids=False)
        with torch.no_grad():
            ids = model.generate(**inputs, max_new_tokens=int(length), do_sample=False)
        answers.append(tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    print(json.dumps(answers))


main(*sys.argv[1:])
