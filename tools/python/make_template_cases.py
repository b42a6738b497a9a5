"""Writes packages/data/test/fixtures/templates.json.gz: what LlamaFactory 0.9.5 makes of conversations.

Run with the LlamaFactory environment after make_tokenizer_cases.py, whose Llama-3-style tokenizer is used:
  OMP_NUM_THREADS=1 <environment>/bin/python tools/python/make_template_cases.py

templates: the 16 templates × conversations: ids of each pair, one-turn ids, stop ids, EOS, padding, the Jinja written.
recovered: parse_template over models' own Jinja: slots and ids.
rendered:  apply_chat_template over models' own Jinja: text, ids, or the text of raise_exception.
"""

import datetime
import gzip
import json
import os
import tempfile
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

os.environ["DISABLE_VERSION_CHECK"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

from llamafactory.data import template as lf  # noqa: E402
from llamafactory.data import tool_utils  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "packages/tokenizer/test/fixtures/llama3-style.json.gz"
OUT = ROOT / "packages/data/test/fixtures/templates.json.gz"
NAMES = ["default", "empty", "alpaca", "vicuna", "chatml", "llama2", "llama3", "mistral", "qwen", "smollm2", "zephyr", "gemma", "gemma2", "phi", "qwen3_nothink", "olmo"]


class FixedDate(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 3, 7)


tool_utils.datetime = FixedDate

CONFIGS = {
    "bos and eos": {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"},
    "no bos, padded": {"eos_token": "<|endoftext|>", "pad_token": "<|system|>"},
    "nothing": {},
}


def tokenizer_for(config, chat_template=None, framed=True):
    parsed = json.loads(gzip.decompress(TOKENIZER.read_bytes()))
    if not framed:
        parsed["post_processor"] = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        path.write_text(json.dumps(parsed))
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path), **config)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    return tokenizer


def talk(*turns):
    roles = ["user", "assistant"]
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]


CALL = json.dumps({"name": "weather", "arguments": {"city": "Øslo", "days": 2, "scale": 1.0, "deep": {"2": [True, None], "1": []}}}, ensure_ascii=False)
CALLS = json.dumps([{"name": "a", "arguments": {}}, {"name": "b", "arguments": {"x": -1.5e-7, "y": "q\"\n"}}])
TOOLS = json.dumps([
    {"name": "weather", "description": "tells the weather", "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "the city"}, "days": {"type": "number", "description": "how many"},
        "scale": {"type": "string", "enum": ["C", "F"]}, "tags": {"type": "array", "items": {"type": "string"}}}, "required": ["city"]}},
    {"type": "function", "function": {"name": "b", "description": "zwölf", "parameters": {"type": "object", "properties": {}}}},
], ensure_ascii=False)  # fmt: skip

CONVERSATIONS = {
    "one turn": dict(messages=talk("How are you", "I am fine!")),
    "two turns": dict(messages=talk("How are you", "I am fine!", "你好", "很高兴认识你！")),
    "system": dict(messages=talk("Hi", "Hello"), system="You are brief."),
    "system, three turns": dict(messages=talk("a", "b", " c ", "d\n", "e", "f"), system=" Be\nkind. "),
    "spaces and lines": dict(messages=talk("  two spaces\n\n", "\n\n leading", "\ttab\r\n", " "), system="\n"),
    "empty texts": dict(messages=talk("", "", "x", "")),
    "unicode": dict(messages=talk("Größe 👩‍👩‍👧‍👦 naïve 123456", "こんにちは\u3000مرحبا 🇩🇪", "½ ² Ⅷ", "x\u0085y\ufeffz")),
    "braces": dict(messages=talk("{{content}} and {{ x }} {% if %}", "{{content}}{{content}}"), system="{{content}}"),
    "special text": dict(messages=talk("say <|im_end|>\n<|im_start|>assistant\nhi<|eot_id|>", "no </s> <|end_of_text|>[/INST]"), system="<|im_start|>", special=True),
    "tools": dict(messages=[{"role": "user", "content": "weather in Oslo"}, {"role": "function", "content": CALL},
                            {"role": "observation", "content": '{"t": 1}'}, {"role": "assistant", "content": "cold"}], tools=TOOLS),
    "tools, system, two calls": dict(messages=[{"role": "user", "content": "go"}, {"role": "function", "content": CALLS},
                                               {"role": "observation", "content": "ok"}, {"role": "assistant", "content": "done"}], tools=TOOLS, system="S."),
    "thought before a call": dict(messages=[{"role": "user", "content": "go"}, {"role": "function", "content": "<think>\nhm\n</think>\n\n" + CALLS}], reasons=True),
}  # fmt: skip


def encode(template, tokenizer, case):
    arguments = (tokenizer, case["messages"], case.get("system"), case.get("tools"))
    return {"pairs": template.encode_multiturn(*arguments), "oneturn": template.encode_oneturn(*arguments)}


def data_args(name):
    return SimpleNamespace(template=name, train_on_prompt=False, tool_format=None, default_system=None, enable_thinking=True, preserve_thinking=False)


def template_cases():
    rows = []
    for config_name, config in CONFIGS.items():
        for name in NAMES:
            tokenizer = tokenizer_for(config)
            template = deepcopy(lf.TEMPLATES[name])
            lf.TEMPLATES[name], original = template, lf.TEMPLATES[name]
            template = lf.get_template_and_fix_tokenizer(tokenizer, data_args(name))
            lf.TEMPLATES[name] = original
            encoded = {}
            for case_name, case in CONVERSATIONS.items():
                if case.get("reasons") and isinstance(template, lf.Llama2Template):
                    continue
                if config_name == "bos and eos" or case_name in ("two turns", "system", "special text"):
                    encoded[case_name] = encode(template, tokenizer, case)
            rows.append(dict(template=name, config=config, size=len(tokenizer), stop=sorted(template.get_stop_token_ids(tokenizer)),
                             eos=tokenizer.eos_token, pad=tokenizer.pad_token, jinja=tokenizer.chat_template, encoded=encoded))  # fmt: skip
    return rows


JINJA = {
    "smollm2": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "llama3": "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    "qwen": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\nYou are provided with function signatures within <tools></tools> XML tags:\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\\n<tool_call>\\n{\\"name\\": <function-name>, \\"arguments\\": <args-json-object>}\\n</tool_call><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    "mistral": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- This block checks for alternating user/assistant messages, skipping tool calling messages #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
""",
    "zephyr": "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "features": """{%- macro shout(text, mark='!') -%}{{ text | upper }}{{ mark }}{%- endmacro -%}
{{ shout('hey') }} {{ shout('ho', mark='?') }}
{% set ns = namespace(n=0, seen=[]) %}{% for m in messages if m.role != 'system' %}{% set ns.n = ns.n + 1 %}{{ loop.index }}/{{ loop.length }}{{ ' first' if loop.first else '' }} {{ m.content | trim | length }};{% endfor %}
{{ ns.n }} {{ messages | map(attribute='role') | join('-') }} {{ {'a': [1, 2.5, none, true, 'é"'], 'b': {}} | tojson }}
{{ [3, 1, 2] | sort | join(',') }} {{ 'a.b.c'.split('.')[-1] }} {{ messages[0].missing is defined }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 'x' in 'xyz' }}
{{ {'k': [1, {'z': 2}]} | tojson(indent=2) }} {{ range(2, 8, 3) | list }} {{ '  pad'.strip() ~ 5 }} {% for k, v in {'p': 1, 'q': 2}.items() %}{{ k }}={{ v }} {% endfor %}
{{ messages[-1]['content'][1:3] }} {{ 'none' if nothing is none else 'some' }} {{ 'abc' | replace('b', 'BB') }} {{ strftime_now('%Y') | length }}""",
}


def rendered_cases():
    rows = []
    for name, source in JINJA.items():
        tokenizer = tokenizer_for(CONFIGS["bos and eos"], source)
        for case_name, case in CONVERSATIONS.items():
            if "tools" in case_name or case.get("reasons"):
                continue
            system = [{"role": "system", "content": case["system"]}] if "system" in case else []
            for messages in (system + case["messages"], system + case["messages"][:-1], case["messages"][1:]):
                for prompt in (False, True):
                    row = dict(jinja=name, messages=messages, prompt=prompt)
                    try:
                        row["text"] = tokenizer.apply_chat_template(messages, add_generation_prompt=prompt, tokenize=False)
                        row["ids"] = tokenizer(row["text"], add_special_tokens=False)["input_ids"]
                    except Exception as error:  # noqa: BLE001
                        row["error"] = str(error)
                    rows.append(row)
    return rows


def recovered_cases():
    rows = []
    for name, framed in (("smollm2", False), ("llama3", True), ("qwen", False)):
        tokenizer = tokenizer_for(CONFIGS["bos and eos"], JINJA[name], framed)
        template = lf.get_template_and_fix_tokenizer(tokenizer, data_args(None))
        slots = {key: getattr(template, f"format_{key}").slots for key in ("prefix", "system", "user", "assistant")}
        encoded = {case_name: encode(template, tokenizer, case) for case_name, case in CONVERSATIONS.items() if "tools" not in case_name}
        rows.append(dict(jinja=name, framed=framed, slots=slots, default_system=template.default_system, encoded=encoded))
    return rows


if __name__ == "__main__":
    OUT.parent.mkdir(parents=True, exist_ok=True)
    result = dict(conversations=CONVERSATIONS, jinja=JINJA, templates=template_cases(), recovered=recovered_cases(), rendered=rendered_cases())
    text = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
    OUT.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(len(text), OUT.stat().st_size)
