"""Answers as publishers document that their models write them, and what each means.

An entry is a template of llama.cpp's sources or one of this file, the family of the catalog entry, what stands at
the end of the prompt, the answer's text, and then its reasoning, its content and its calls.
"""

from __future__ import annotations

from typing import Any, NamedTuple

WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather of a place.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "zip": {"type": "string"},
            "exact": {"type": "boolean"},
            "near": {"type": "array", "items": {"type": "string"}},
            "unit": {"type": ["string", "null"]},
        },
        "required": ["city"],
    },
}
STOP: dict[str, Any] = {"name": "stop", "description": "Stops."}
WRITE: dict[str, Any] = {
    "name": "write",
    "parameters": {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    },
}
_MONEY = {"$ref": "#/$defs/Money"}
CONVERT: dict[str, Any] = {
    "name": "convert-money",
    "parameters": {
        "type": "object",
        "properties": {
            "from": _MONEY,
            "in": {"anyOf": [_MONEY, {"type": "null"}]},
            "class": {"allOf": [_MONEY], "default": "978"},
            "max-age": {"type": "number"},
            "version": {"const": "3.10"},
            "places": {"type": "array", "items": {"$ref": "#/$defs/Place"}},
        },
        "$defs": {
            "Money": {"type": "string", "enum": ["EUR", "978"]},
            "Place": {"type": "object", "properties": {"zip": {"$ref": "#/$defs/Money"}}},
        },
    },
}
"""As programs describe a tool whose names are no names of Python, and whose types are named once."""
FUNCTIONS = (WEATHER, STOP, WRITE, CONVERT)
Call = tuple[str, dict[str, Any]]
GRAZ: Call = ("get_weather", {"city": "Graz", "days": 2})
LINZ: Call = ("get_weather", {"city": "Linz"})
STOPPED: Call = ("stop", {})
CONVERTED: Call = ("convert-money", {"from": "978", "in": "EUR", "max-age": 1.5})


class Output(NamedTuple):
    template: str
    family: str
    said: str
    reasoning: str = ""
    content: str = ""
    calls: tuple[Call, ...] = ()
    prompt: str = ""
    """How the prompt ends."""


PHI4_MINI = (
    "{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message and "
    "message['tools'] is not none %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|tool|>' + "
    "message['tools'] + '<|/tool|>' + '<|end|>' }}{% else %}{{ '<|' + message['role'] + '|>' + "
    "message['content'] + '<|end|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"
)
MAGISTRAL = (
    "{%- for message in messages %}{%- if message['role'] == 'user' %}[INST]{{ message['content'] }}[/INST]"
    "{%- elif message['role'] == 'assistant' %}{%- if message['content'] is string %}{{ message['content'] }}"
    "{%- else %}{%- for block in message['content'] %}{%- if block['type'] == 'text' %}{{ block['text'] }}"
    "{%- elif block['type'] == 'thinking' %}[THINK]{{ block['thinking'] }}[/THINK]{%- endif %}{%- endfor %}"
    "{%- endif %}{{ eos_token }}{%- elif message['role'] == 'system' %}[SYSTEM_PROMPT]{{ message['content'] }}"
    "[/SYSTEM_PROMPT]{%- endif %}{%- endfor %}"
)
LLAMA4 = (
    "{{ bos_token }}{%- for message in messages %}{{ '<|header_start|>' + message['role'] + '<|header_end|>\\n\\n' "
    "}}{%- if message['content'] is string %}{{ message['content'] }}{%- endif %}{%- if message.tool_calls %}"
    '{%- for call in message.tool_calls %}{{ \'{"name": "\' + call.function.name + \'", "parameters": \' }}'
    "{{ call.function.arguments | tojson }}{{ '}' }}{%- endfor %}{%- endif %}{{ '<|eot|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|header_start|>assistant<|header_end|>\\n\\n' }}{%- endif %}"
)
INLINE = {"Phi-4-mini": PHI4_MINI, "Magistral": MAGISTRAL, "Llama-4": LLAMA4}

GPT, GLM46, GLM47 = "openai-gpt-oss-120b", "GLM-4.6", "GLM-4.7-Flash"
KIMI, KIMI_T, M2, SEED = "Kimi-K2-Instruct", "Kimi-K2-Thinking", "MiniMax-M2", "ByteDance-Seed-OSS"
GR33, GR40 = "ibm-granite-granite-3.3-2B-Instruct", "ibm-granite-granite-4.0"
V31, V32, R1 = "deepseek-ai-DeepSeek-V3.1", "deepseek-ai-DeepSeek-V3.2", "llama-cpp-deepseek-r1"
R1Q = "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B"
R7B = "CohereForAI-c4ai-command-r7b-12-2024-tool_use"
LFM, LFM25 = "LFM2-8B-A1B", "LFM2.5-8B-A1B"
NEMO_V2, NEMO_3 = "NVIDIA-Nemotron-Nano-v2", "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"
QWEN, CODER, Q35 = "Qwen-Qwen3-0.6B", "Qwen3-Coder", "Qwen3.5-4B"
NEMO, SMALL = "mistralai-Mistral-Nemo-Instruct-2407", "Mistral-Small-3.2-24B-Instruct-2506"
DEV, MINI = "unsloth-mistral-Devstral-Small-2507", "mistralai-Ministral-3-14B-Reasoning-2512"
L31, L32 = "meta-llama-Llama-3.1-8B-Instruct", "meta-llama-Llama-3.2-3B-Instruct"
HERMES = "NousResearch-Hermes-3-Llama-3.1-8B-tool_use"
FN31, FN32 = "meetkai-functionary-medium-v3.1", "meetkai-functionary-medium-v3.2"
FIRE, GEMMA4, APERTUS = (
    "fireworks-ai-llama-3-firefunction-v2",
    "google-gemma-4-31B-it",
    "Apertus-8B-Instruct",
)
SOLAR, HY3, M3, K3 = "upstage-Solar-Open-100B", "tencent-Hy3", "MiniMax-M3", "Kimi-K3"
APRIEL, MUSE, LAGUNA = "Apriel-1.6-15b-Thinker-fixed", "muse-glimmer", "poolside-Laguna-XS-2.1"

GLM_CALL = (
    "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Graz</arg_value>\n<arg_key>days</arg_key>\n"
    "<arg_value>2</arg_value>\n</tool_call>"
)
CODER_CALL = (
    "<tool_call>\n<function=get_weather>\n<parameter=city>\nGraz\n</parameter>\n<parameter=days>\n2\n"
    "</parameter>\n</function>\n</tool_call>"
)
HERMES_CALL = (
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Graz", "days": 2}}\n</tool_call>'
)
HARMONY_CALL = (
    "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
    '{"city": "Graz", "days": 2}<|call|>'
)
DSML_CALL = (
    '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="city" string="true">'
    'Graz</｜DSML｜parameter>\n<｜DSML｜parameter name="days" string="false">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
    "</｜DSML｜function_calls>"
)

OUTPUTS: dict[str, Output] = {
    "gpt-oss answers": Output(GPT, "gpt-oss", "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>Four.<|return|>", "Easy.", "Four."),
    "gpt-oss calls": Output(GPT, "gpt-oss", "<|channel|>analysis<|message|>I call.<|end|><|start|>assistant" + HARMONY_CALL, "I call.", "", (GRAZ,)),
    "gpt-oss calls, recipient first": Output(GPT, "gpt-oss", '<|channel|>analysis<|message|>Go.<|end|><|start|>assistant to=functions.stop<|channel|>commentary json<|message|>{}<|call|>', "Go.", "", (STOPPED,)),
    "gpt-oss has a preamble": Output(GPT, "gpt-oss", "<|channel|>commentary<|message|>Let me look.<|end|><|start|>assistant" + HARMONY_CALL, "", "Let me look.", (GRAZ,)),
    "gpt-oss thinks twice": Output(GPT, "gpt-oss", "<|channel|>analysis<|message|>One.<|end|><|start|>assistant<|channel|>analysis<|message|>Two.<|end|><|start|>assistant<|channel|>final<|message|>Three.", "One.\n\nTwo.", "Three."),
    "GLM-4.6 thinks and calls": Output(GLM46, "glm", "\n<think>Hm.</think>\n" + GLM_CALL, "Hm.", "", (GRAZ,)),
    "GLM-4.6 says and calls twice": Output(GLM46, "glm", "Let me see.\n" + GLM_CALL + "\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Linz</arg_value>\n</tool_call>", "", "Let me see.", (GRAZ, LINZ)),
    "GLM-4.6 calls without arguments": Output(GLM46, "glm", "<tool_call>stop\n</tool_call>", "", "", (STOPPED,)),
    "GLM-4.7 was opened": Output(GLM47, "glm", "Hm.</think><tool_call>get_weather<arg_key>city</arg_key><arg_value>Graz</arg_value><arg_key>days</arg_key><arg_value>2</arg_value></tool_call>", "Hm.", "", (GRAZ,), "<|assistant|><think>"),
    "GLM keeps digits that are text": Output(GLM47, "glm", "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Graz</arg_value><arg_key>zip</arg_key><arg_value>08010</arg_value></tool_call>", "", "", (("get_weather", {"city": "Graz", "zip": "08010"}),), "</think>"),
    "Kimi-K2 calls twice": Output(KIMI, "kimi", 'Let me see.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{"city": "Graz", "days": 2}<|tool_call_end|><|tool_call_begin|>functions.stop:1<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>', "", "Let me see.", (GRAZ, STOPPED)),
    "Kimi-K2-Thinking": Output(KIMI_T, "kimi", '<think>Hm.</think><|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{"city": "Graz", "days": 2}<|tool_call_end|><|tool_calls_section_end|>', "Hm.", "", (GRAZ,)),
    "MiniMax-M2": Output(M2, "minimax", 'Hm.\n</think>\n\nLet me see.\n<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Graz</parameter>\n<parameter name="days">2</parameter>\n</invoke>\n<invoke name="stop">\n</invoke>\n</minimax:tool_call>', "Hm.", "Let me see.", (GRAZ, STOPPED), "]~b]ai\n<think>\n"),
    "Seed-OSS": Output(SEED, "seed", "<seed:think>Hm.</seed:think>\n<seed:tool_call>\n<function=get_weather>\n<parameter=city>Graz</parameter>\n<parameter=days>2</parameter>\n</function>\n</seed:tool_call>", "Hm.", "", (GRAZ,)),
    "Granite 3.3 thinks": Output(GR33, "granite", "<think>Hm.</think><response>Four.</response>", "Hm.", "Four."),
    "Granite 3.3 calls": Output(GR33, "granite", '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Graz", "days": 2}}]', "", "", (GRAZ,)),
    "Granite 4": Output(GR40, "granite", HERMES_CALL, "", "", (GRAZ,)),
    "Magistral": Output("Magistral", "mistral", "[THINK]Hm.[/THINK]Four.", "Hm.", "Four."),
    "Magistral calls": Output("Magistral", "mistral", '[THINK]Hm.[/THINK][TOOL_CALLS]get_weather[ARGS]{"city": "Graz", "days": 2}', "Hm.", "", (GRAZ,)),
    "Ministral 3 Reasoning": Output(MINI, "mistral", '[THINK]Hm.[/THINK]I look.[TOOL_CALLS]get_weather[ARGS]{"city": "Graz", "days": 2}', "Hm.", "I look.", (GRAZ,)),
    "DeepSeek V3.1 thinks": Output(V31, "deepseek", "Hm.</think>Four.", "Hm.", "Four.", (), "<｜Assistant｜><think>"),
    "DeepSeek V3.1 calls": Output(V31, "deepseek", 'Let me see.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Graz", "days": 2}<｜tool▁call▁end｜><｜tool▁call▁begin｜>stop<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>', "", "Let me see.", (GRAZ, STOPPED), "<think></think>"),
    "DeepSeek V3.2": Output(V32, "deepseek", "Hm.</think>\n\n" + DSML_CALL, "Hm.", "", (GRAZ,), "<｜Assistant｜><think>"),
    "DeepSeek R1 writes its mark": Output(R1, "deepseek", "<think>\nHm.\n</think>\n\nFour.", "Hm.", "Four."),
    "DeepSeek R1 was opened": Output(R1, "deepseek", "Hm.\n</think>\n\nFour.", "Hm.", "Four.", (), "<｜Assistant｜><think>\n"),
    "DeepSeek R1 calls": Output(R1Q, "deepseek", 'Hm.\n</think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city": "Graz", "days": 2}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>', "Hm.", "", (GRAZ,), "<｜Assistant｜><think>\n"),
    "DeepSeek R1 0528 calls": Output(R1, "deepseek", '<think>Hm.</think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city": "Graz", "days": 2}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>stop\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>', "Hm.", "", (GRAZ, STOPPED)),
    "Command R7B answers": Output(R7B, "command-r", "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Four.<|END_RESPONSE|>", "Hm.", "Four."),
    "Command R7B calls": Output(R7B, "command-r", '<|START_THINKING|>Hm.<|END_THINKING|><|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"city": "Graz", "days": 2}}\n]<|END_ACTION|>', "Hm.", "", (GRAZ,)),
    "LFM2": Output(LFM, "lfm2", '<|tool_call_start|>[get_weather(city="Graz", days=2)]<|tool_call_end|>Checking.', "", "Checking.", (GRAZ,)),
    "LFM2.5 thinks": Output(LFM25, "lfm2", "<think>Hm.</think><|tool_call_start|>[get_weather(city='Graz', days=2), stop()]<|tool_call_end|>", "Hm.", "", (GRAZ, STOPPED)),
    "Nemotron Nano v2": Output(NEMO_V2, "nemotron", 'Hm.\n</think>\n\n<TOOLCALL>[{"name": "get_weather", "arguments": {"city": "Graz", "days": 2}}]</TOOLCALL>', "Hm.", "", (GRAZ,), "Assistant\n<think>\n"),
    "Nemotron 3 Nano": Output(NEMO_3, "nemotron", "Hm.\n</think>\n" + CODER_CALL, "Hm.", "", (GRAZ,), "assistant\n<think>\n"),
    "Phi-4-mini": Output("Phi-4-mini", "phi", '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Graz", "days": 2}}]<|/tool_call|>', "", "", (GRAZ,)),
    "Phi-4-mini, functools": Output("Phi-4-mini", "phi", 'functools[{"name": "get_weather", "arguments": {"city": "Graz", "days": 2}}]', "", "", (GRAZ,)),
    "Qwen3": Output(QWEN, "qwen3", "<think>\nHm.\n</think>\n\n" + HERMES_CALL, "Hm.", "", (GRAZ,)),
    "Qwen3 answers": Output(QWEN, "qwen3", "<think>\nHm.\n</think>\n\nFour.", "Hm.", "Four."),
    "Qwen3 calls in between": Output(QWEN, "qwen3", "One.\n" + HERMES_CALL + "\nTwo.", "", "One.\n\nTwo.", (GRAZ,)),
    "Qwen3-Coder": Output(CODER, "qwen3", "I look.\n\n" + CODER_CALL, "", "I look.", (GRAZ,)),
    "Qwen3-Coder leaves out a mark": Output(CODER, "qwen3", CODER_CALL.removeprefix("<tool_call>\n"), "", "", (GRAZ,)),
    "Qwen3-Coder calls without arguments": Output(CODER, "qwen3", "<tool_call>\n<function=stop>\n</function>\n</tool_call>", "", "", (STOPPED,)),
    "Qwen3-Coder keeps indents and marks": Output(CODER, "qwen3", "<tool_call>\n<function=write>\n<parameter=text>\n  if a:\n    b = '</parameter>'\n\n</parameter>\n</function>\n</tool_call>", "", "", (("write", {"text": "  if a:\n    b = '</parameter>'\n"}),)),
    "Qwen3-Coder reads types": Output(CODER, "qwen3", "<tool_call>\n<function=get_weather>\n<parameter=city>\nGraz\n</parameter>\n<parameter=exact>\nTrue\n</parameter>\n<parameter=near>\n[\"Linz\"]\n</parameter>\n<parameter=unit>\nnull\n</parameter>\n<parameter=zip>\n8010\n</parameter>\n</function>\n</tool_call>", "", "", (("get_weather", {"city": "Graz", "exact": True, "near": ["Linz"], "unit": None, "zip": "8010"}),)),
    "Qwen3.5": Output(Q35, "qwen3", "Hm.\n</think>\n\n" + CODER_CALL, "Hm.", "", (GRAZ,), "assistant\n<think>\n"),
    "Mistral Nemo": Output(NEMO, "mistral", '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Graz", "days": 2}, "id": "a1b2c3d4e"}, {"name": "stop", "arguments": {}}]', "", "", (GRAZ, STOPPED)),
    "Mistral Small 3.2": Output(SMALL, "mistral", '[TOOL_CALLS]get_weather[ARGS]{"city": "Graz", "days": 2}[TOOL_CALLS]stop[ARGS]{}', "", "", (GRAZ, STOPPED)),
    "Mistral Small 3.2 with an id": Output(SMALL, "mistral", '[TOOL_CALLS]get_weather[CALL_ID]a1b2c3d4e[ARGS]{"city": "Graz", "days": 2}', "", "", (GRAZ,)),
    "Devstral": Output(DEV, "mistral", 'I look.[TOOL_CALLS]get_weather[ARGS]{"city": "Graz", "days": 2}', "", "I look.", (GRAZ,)),
    "Llama 3.1": Output(L31, "llama", '{"name": "get_weather", "parameters": {"city": "Graz", "days": 2}}', "", "", (GRAZ,)),
    "Llama 3.1, marked": Output(L31, "llama", '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Graz", "days": 2}}', "", "", (GRAZ,)),
    "Llama 3.1 with a type": Output(L31, "llama", '{"type": "function", "name": "get_weather", "parameters": {"city": "Graz", "days": 2}}; {"type": "function", "name": "stop", "parameters": {}}', "", "", (GRAZ, STOPPED)),
    "Llama 3.1 says something first": Output(L31, "llama", 'I look.\n\n{"name": "get_weather", "parameters": {"city": "Graz", "days": 2}}\nWait.', "", "I look.\n\n\nWait.", (GRAZ,)),
    "Llama 3.2 in Python": Output(L32, "llama", "[get_weather(city='Graz', days=2), stop()]", "", "", (GRAZ, STOPPED)),
    "Llama 4 in Python": Output("Llama-4", "llama", '<|python_start|>[get_weather(city="Graz", days=2)]<|python_end|>', "", "", (GRAZ,)),
    "Llama 4, bare": Output("Llama-4", "llama4", '[get_weather(city="Graz", days=2)]', "", "", (GRAZ,)),
    "Hermes": Output(HERMES, "hermes", "I look.\n" + HERMES_CALL + "\n" + HERMES_CALL, "", "I look.", (GRAZ, GRAZ)),
    "functionary 3.1": Output(FN31, "functionary", 'I look.<function=get_weather>{"city": "Graz", "days": 2}</function><function=stop>{}</function>', "", "I look.", (GRAZ, STOPPED)),
    "functionary 3.2": Output(FN32, "functionary", 'all\nI look.>>>get_weather\n{"city": "Graz", "days": 2}', "", "I look.", (GRAZ,), ">>>"),
    "functionary 3.2 calls": Output(FN32, "functionary", 'get_weather\n{"city": "Graz", "days": 2}>>>stop\n{}', "", "", (GRAZ, STOPPED), ">>>"),
    "firefunction": Output(FIRE, "firefunction", ' functools[{"name": "get_weather", "arguments": {"city": "Graz", "days": 2}}, {"name": "stop", "arguments": {}}]', "", "", (GRAZ, STOPPED)),
    "Gemma 4": Output(GEMMA4, "gemma", '<|channel>thought\nHm.\n<channel|><|tool_call>call:get_weather{city:<|"|>Graz<|"|>,days:2}<tool_call|>', "Hm.", "", (GRAZ,)),
    "Gemma 4 nests": Output(GEMMA4, "gemma", '<|tool_call>call:get_weather{city:<|"|>A, {b}: "c"<|"|>,near:[<|"|>x<|"|>],exact:true}<tool_call|>', "", "", (("get_weather", {"city": 'A, {b}: "c"', "near": ["x"], "exact": True}),)),
    "Apertus": Output(APERTUS, "apertus", '<|inner_prefix|>Hm.<|inner_suffix|>I look.<|tools_prefix|>[{"get_weather": {"city": "Graz", "days": 2}}, {"stop": {}}]<|tools_suffix|>', "Hm.", "I look.", (GRAZ, STOPPED)),
    "Solar Open": Output(SOLAR, "solar", '<|think|>Hm.<|end|><|begin|>assistant<|content|>Four.', "Hm.", "Four."),
    "Solar Open calls": Output(SOLAR, "solar", '<|think|>Hm.<|end|><|begin|>assistant<|tool_calls|><|tool_call:begin|>a1b2c3d4e5<|tool_call:name|>get_weather<|tool_call:args|>{"city": "Graz", "days": 2}<|tool_call:end|><|calls|>', "Hm.", "", (GRAZ,)),
    "Hy3": Output(HY3, "hunyuan", "Hm.</think:opensource><tool_calls:opensource>\n<tool_call:opensource>get_weather<tool_sep:opensource>\n<arg_key:opensource>city</arg_key:opensource>\n<arg_value:opensource>Graz</arg_value:opensource>\n<arg_key:opensource>days</arg_key:opensource>\n<arg_value:opensource>2</arg_value:opensource>\n</tool_call:opensource>\n</tool_calls:opensource>", "Hm.", "", (GRAZ,), "<think:opensource>"),
    "MiniMax-M3": Output(M3, "minimax", '<mm:think>Hm.</mm:think>Look.]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="get_weather">]<]minimax[>[<city>Graz]<]minimax[>[</city>]<]minimax[>[<days>2]<]minimax[>[</days>]<]minimax[>[</invoke>\n]<]minimax[>[<invoke name="stop">]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>', "Hm.", "Look.", (GRAZ, STOPPED)),
    "Kimi-K3": Output(K3, "kimi", 'Hm.<|close|>think<|sep|><|open|>response<|sep|>Look.<|close|>response<|sep|><|open|>tools<|sep|><|open|>call tool="get_weather" index="1"<|sep|><|open|>argument key="city" type="string"<|sep|>Graz<|close|>argument<|sep|><|open|>argument key="days" type="number"<|sep|>2<|close|>argument<|sep|><|close|>call<|sep|><|close|>tools<|sep|>', "Hm.", "Look.", (GRAZ,), "<|open|>think<|sep|>"),
    "Apriel 1.6": Output(APRIEL, "apriel", 'Hm.\n[BEGIN FINAL RESPONSE]\nLook.\n<tool_calls>[{"name": "get_weather", "arguments": {"city": "Graz", "days": 2}}]</tool_calls>', "Hm.", "Look.", (GRAZ,), "Here are my reasoning steps:\n"),
    "Muse": Output(MUSE, "muse", ' to=self<|message|>Hm.<|eom|><|start|>assistant to=get_weather<|message|><atem:function_calls>\n<atem:invoke name="get_weather">\n<atem:parameter name="city">Graz</atem:parameter>\n<atem:parameter name="days">2</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eot|>', "Hm.", "", (GRAZ,)),
    "Laguna": Output(LAGUNA, "laguna", "\nHm.\n</think>\n" + GLM_CALL, "Hm.", "", (GRAZ,), "<assistant>\n<think>"),
    "arguments as JSON text": Output(QWEN, "qwen3", '<tool_call>\n{"name": "get_weather", "arguments": "{\\"city\\": \\"Graz\\", \\"days\\": 2}"}\n</tool_call>', "", "", (GRAZ,)),
    "null arguments": Output(QWEN, "qwen3", '<tool_call>\n{"name": "stop", "arguments": null}\n</tool_call>', "", "", (STOPPED,)),
    "null arguments, named": Output(SMALL, "mistral", "[TOOL_CALLS]stop[ARGS]null", "", "", (STOPPED,)),
    "no arguments": Output(HERMES, "hermes", '<tool_call>{"name": "stop"}</tool_call>', "", "", (STOPPED,)),
    "a raw line feed in a text": Output(QWEN, "qwen3", '<tool_call>\n{"name": "write", "arguments": {"text": "a\nb\tc"}}\n</tool_call>', "", "", (("write", {"text": "a\nb\tc"}),)),
    "a raw line feed in Python": Output(LFM, "lfm2", '<|tool_call_start|>[write(text="a\nb")]<|tool_call_end|>', "", "", (("write", {"text": "a\nb"}),)),
    "a closing mark in a text": Output(QWEN, "qwen3", '<tool_call>\n{"name": "write", "arguments": {"text": "</tool_call>"}}\n</tool_call>', "", "", (("write", {"text": "</tool_call>"}),)),
    "one unknown name beside a known one": Output(QWEN, "qwen3", '<tool_call>\n{"name": "rm", "arguments": {}}\n</tool_call>\n' + HERMES_CALL, "", '<tool_call>\n{"name": "rm", "arguments": {}}\n</tool_call>', (GRAZ,)),
    "one unknown name in a list": Output(NEMO, "mistral", '[TOOL_CALLS][{"name": "rm", "arguments": {}}, {"name": "stop", "arguments": {}}]', "", '{"name": "rm", "arguments": {}}', (STOPPED,)),
    "one unknown name in a section": Output(KIMI, "kimi", '<|tool_calls_section_begin|><|tool_call_begin|>functions.rm:0<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_call_begin|>functions.stop:1<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>', "", "rm:0<|tool_call_argument_begin|>{}<|tool_call_end|>", (STOPPED,)),
    "only an unknown name": Output(QWEN, "qwen3", '<tool_call>\n{"name": "rm", "arguments": {}}\n</tool_call>', "", '<tool_call>\n{"name": "rm", "arguments": {}}\n</tool_call>'),
    "an unknown recipient": Output(GPT, "gpt-oss", "<|channel|>commentary to=functions.rm <|constrain|>json<|message|>{}<|call|>", "", "<|channel|>commentary to=functions.rm <|constrain|>json<|message|>{}"),
    "a cut call": Output(CODER, "qwen3", "Look.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nGr", "", "Look.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nGr"),
    "JSON that is no call": Output(L31, "llama", '{"city": "Graz"}', "", '{"city": "Graz"}'),
    "code with a call in it": Output(L31, "llama", 'So:\n```json\n{"name": "stop", "parameters": {}}\n```', "", 'So:\n```json\n{"name": "stop", "parameters": {}}\n```'),
    "a list that is no call": Output(L32, "llama", "[1, 2] and [a](b)", "", "[1, 2] and [a](b)"),
    "only text": Output(GPT, "gpt-oss", "Just text, a < b.", "", "Just text, a < b."),
    "a mark that begins no header": Output(GPT, "gpt-oss", "<|start|>" + "a " * 200, "", "<|start|>" + "a " * 200),
    "signs of a prompt": Output(FN32, "functionary", "all\n>>> 1 + 1\n2", "", ">>> 1 + 1\n2", (), ">>>"),
}  # fmt: skip
