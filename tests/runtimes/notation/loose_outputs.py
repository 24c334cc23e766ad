"""Answers whose calls miss JSON, Python's notation or their marks in what stands inside them.

Quotes inside of texts, single backslashes, words without quotes; marks as distilled models spell them, marks of one
call that another model was trained on; thoughts that begin once more.
"""

from __future__ import annotations

from tests.runtimes.notation.outputs import (
    APERTUS,
    CODER,
    CODER_CALL,
    DSML_CALL,
    GEMMA4,
    GLM46,
    GLM_CALL,
    GPT,
    GRAZ,
    L31,
    L32,
    LFM,
    M2,
    NEMO,
    QWEN,
    R1,
    R1Q,
    R7B,
    SEED,
    SMALL,
    STOPPED,
    V32,
    Call,
    Output,
)

_ARGUMENTS = '{"city": "Graz", "days": 2}'
_CALL = f'{{"name": "get_weather", "arguments": {_ARGUMENTS}}}'
_OSS = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
_INVOKED = '<invoke name="get_weather">\n<parameter name="city">Graz</parameter>\n<parameter name="days">2</parameter>\n</invoke>'
_SECTION = ("<minimax:tool_call>\n", "\n</minimax:tool_call>")


def _write(text: str) -> Call:
    return "write", {"text": text}


def _qwen(inner: str, call: Call = GRAZ) -> Output:
    return Output(QWEN, "qwen3", f"<tool_call>\n{inner}\n</tool_call>", "", "", (call,))


def _written(text: str, call: Call) -> Output:
    return _qwen(f'{{"name": "write", "arguments": {{"text": "{text}"}}}}', call)


def _deepseek(said: str) -> Output:
    return Output(R1Q, "deepseek", said, "", "", (GRAZ,), "</think>")


def _marks(calls: str, call: str, sep: str, ends: tuple[str, str]) -> str:
    return f"<｜{calls}｜><｜{call}｜>function<｜{sep}｜>get_weather\n```json\n{_ARGUMENTS}\n```<｜{ends[0]}｜><｜{ends[1]}｜>"


def _minimax(inner: str) -> Output:
    return Output(M2, "minimax", inner.join(_SECTION), "", "", (GRAZ,), "</think>")


LOOSE_OUTPUTS: dict[str, Output] = {
    "quotes in a text": _written('He said "hi" to me', _write('He said "hi" to me')),
    "a quote ends a text": _written('He said "hi"', _write('He said "hi"')),
    "code in a text": _written('print("a", "b")\nif (x == "}") { y(); }', _write('print("a", "b")\nif (x == "}") { y(); }')),
    "an attribute in a text": _written('<a href="/x">y</a>', _write('<a href="/x">y</a>')),
    "an object in a text": _written('{"a": {"b": "c"}}', _write('{"a": {"b": "c"}}')),
    "single backslashes": _written(r"C:\Users\Ada \"x\"", _write(r'C:\Users\Ada "x"')),
    "quotes in a text before others": _qwen('{"name": "convert-money", "arguments": {"from": "the "old" one", "in": "EUR", "places": [{"zip": "a "b" c"}]}}', ("convert-money", {"from": 'the "old" one', "in": "EUR", "places": [{"zip": 'a "b" c'}]})),
    "a comma missing": _qwen(_CALL.replace(", \"days", " \"days")),
    "keys without quotes": _qwen("{name: \"get_weather\", arguments: {city: \"Graz\", days: 2}}"),
    "a word without quotes": _qwen(_CALL.replace('"Graz"', "Graz")),
    "commas too many": _qwen(f"[{_CALL[:-1]},}},]"),
    "arguments in Python as text": _qwen("{\"name\": \"get_weather\", \"arguments\": \"{'city': 'Graz', 'days': 2}\"}"),
    "arguments as text twice": _qwen(r'{"name": "get_weather", "arguments": "\"{\\\"city\\\": \\\"Graz\\\", \\\"days\\\": 2}\""}'),
    "quotes in a text, bare": Output(L31, "llama", '{"name": "write", "parameters": {"text": "say "hi" now"}}', "", "", (_write('say "hi" now'),)),
    "Python, bare": Output(L31, "llama", "{'type': 'function', 'name': 'get_weather', 'parameters': {'city': 'Graz', 'exact': True}}", "", "", (("get_weather", {"city": "Graz", "exact": True}),)),
    "a comma too many, bare": Output(L31, "llama", _CALL[:-2] + ",}}", "", "", (GRAZ,)),
    "quotes in an argument's text": Output(SMALL, "mistral", '[TOOL_CALLS]write[ARGS]{"text": "say "hi" now"}[TOOL_CALLS]stop[ARGS]{}', "", "", (_write('say "hi" now'), STOPPED)),
    "quotes in a listed text": Output(NEMO, "mistral", '[TOOL_CALLS][{"name": "write", "arguments": {"text": "say "hi" now"}}]', "", "", (_write('say "hi" now'),)),
    "a list without its end": Output(NEMO, "mistral", f"[TOOL_CALLS][{_CALL}", "", "", (GRAZ,)),
    "quotes in a message": Output(GPT, "gpt-oss", '<|channel|>commentary to=functions.write <|constrain|>json<|message|>{"text": "say "hi" now"}<|call|>', "", "", (_write('say "hi" now'),)),
    "quotes in a text of a fence": Output(QWEN, "qwen3", '```json\n{"name": "write", "arguments": {"text": "say "hi" now"}}\n```', "", "", (_write('say "hi" now'),)),
    "an apostrophe in a fence of Python": Output("google-gemma-2-2b-it", "gemma", "```tool_code\nwrite(text='it's')\n```", "", "", (_write("it's"),)),
    "quotes in a text before another call": Output("MiniMax-M1", "minimax", '<tool_calls>\n{"name": "write", "arguments": {"text": "say "hi" now"}}\n{"name": "stop", "arguments": {}}\n</tool_calls>', "", "", (_write('say "hi" now'), STOPPED)),
    "quotes in a text of DeepSeek": Output(R1Q, "deepseek", _marks("tool▁calls▁begin", "tool▁call▁begin", "tool▁sep", ("tool▁call▁end", "tool▁calls▁end")).replace("get_weather", "write").replace(_ARGUMENTS, '{"text": "say "hi" now"}'), "", "", (_write('say "hi" now'),), "</think>"),
    "quotes in a text of functionary": Output("meetkai-functionary-medium-v3.2", "functionary", 'write\n{"text": "say "hi" now"}>>>stop\n{}', "", "", (_write('say "hi" now'), STOPPED), ">>>"),
    "quotes in a value between tags": Output(CODER, "qwen3", '<tool_call>\n<function=convert-money>\n<parameter=places>\n[{"zip": "a "b" c"},]\n</parameter>\n</function>\n</tool_call>', "", "", (("convert-money", {"places": [{"zip": 'a "b" c'}]}),)),
    "a fence in a message": Output(GPT, "gpt-oss", f"{_OSS}```json\n{_ARGUMENTS}\n```<|call|>", "", "", (GRAZ,)),
    "a whole call in a message": Output(GPT, "gpt-oss", f"{_OSS}{_CALL}<|call|>", "", "", (GRAZ,)),
    "an apostrophe in Python": Output(LFM, "lfm2", "<|tool_call_start|>[write(text='it's fine'), stop()]<|tool_call_end|>", "", "", (_write("it's fine"), STOPPED)),
    "quotes in Python": Output(LFM, "lfm2", '<|tool_call_start|>[write(text="say "hi" now")]<|tool_call_end|>', "", "", (_write('say "hi" now'),)),
    "an apostrophe in Python, bare": Output(L32, "llama", "[write(text='it's fine')]", "", "", (_write("it's fine"),)),
    "an apostrophe on a line of Python": Output("Olmo-3", "olmo", "<function_calls>\nwrite(text='it's')\nstop()\n</function_calls>", "", "", (_write("it's"), STOPPED)),
    "a list among lines of Python": Output("Olmo-3", "olmo", '<function_calls>\n[get_weather(city="Graz", days=2), stop()]\n</function_calls>', "", "", (GRAZ, STOPPED)),
    "a word without quotes in Python": Output(L32, "llama", "[get_weather(city=Graz, days=2)]", "", "", (GRAZ,)),
    "an object for all of Python's arguments": Output(L32, "llama", f"[get_weather({_ARGUMENTS}), get_weather(**{_ARGUMENTS})]", "", "", (GRAZ, GRAZ)),
    "Python behind a tag of Llama": Output(L31, "llama", '<|python_tag|>[get_weather(city="Graz", days=2)]', "", "", (GRAZ,)),
    "JSON between marks of Llama 4": Output("Llama-4", "llama4", f"<|python_start|>{_CALL}<|python_end|>", "", "", (GRAZ,)),
    "brackets behind a function tag": Output(L31, "llama", f"<function=get_weather>({_ARGUMENTS})</function>", "", "", (GRAZ,)),
    "a comma too many between Gemma's quotes": Output(GEMMA4, "gemma", '<|tool_call>call:get_weather{city:<|"|>Graz<|"|>,days:2,}<tool_call|>', "", "", (GRAZ,)),
    "marks of DeepSeek with low lines": _deepseek(_marks("tool_calls_begin", "tool_call_begin", "tool_sep", ("tool_call_end", "tool_calls_end"))),
    "marks of DeepSeek with blanks": _deepseek(_marks("tool calls begin", "tool call begin", "tool sep", ("tool call end", "tool calls end"))),
    "marks of DeepSeek with escapes": _deepseek(_marks(r"tool\_calls\_begin", r"tool\_call\_begin", r"tool\_sep", (r"tool\_call\_end", r"tool\_calls\_end"))),
    "a mark of DeepSeek cut short": _deepseek(_marks("tool▁calls", "tool▁call▁begin", "tool▁sep", ("tool▁call▁end", "tool▁calls▁end"))),
    "a mark of DeepSeek left out": _deepseek(_marks("tool▁calls▁begin", "tool▁call▁begin", "tool▁sep", ("tool▁call▁end", "tool▁calls▁end")).replace("<｜tool▁call▁begin｜>", "")),
    "a fence of DeepSeek without its language": _deepseek(_marks("tool▁calls▁begin", "tool▁call▁begin", "tool▁sep", ("tool▁call▁end", "tool▁calls▁end")).replace("json", "")),
    "DeepSeek V3.2 leaves out types": Output(V32, "deepseek", DSML_CALL.replace(' string="true"', "").replace(' string="false"', ""), "", "", (GRAZ,), "</think>"),
    "DeepSeek V3.2 writes the section of V4": Output(V32, "deepseek", DSML_CALL.replace("function_calls", "tool_calls"), "", "", (GRAZ,), "</think>"),
    "DeepSeek V3.2 writes plain tags": Output(V32, "deepseek", DSML_CALL.replace("｜DSML｜", ""), "", "", (GRAZ,), "</think>"),
    "MiniMax-M2 leaves out quotes": _minimax(_INVOKED.replace('"', "")),
    "MiniMax-M2 writes other quotes": _minimax(_INVOKED.replace('"', "'")),
    "MiniMax-M2 gives JSON": _minimax(_CALL),
    "MiniMax-M2 writes another section": Output(M2, "minimax", f"<function_calls>\n{_INVOKED}\n</function_calls>", "", "", (GRAZ,), "</think>"),
    "Seed-OSS gives JSON": Output(SEED, "seed", f"<seed:tool_call>\n{_CALL}\n</seed:tool_call>", "", "", (GRAZ,)),
    "Apertus names its arguments": Output(APERTUS, "apertus", f"<|tools_prefix|>[{_CALL}]<|tools_suffix|>", "", "", (GRAZ,)),
    "Command R7B writes no list": Output(R7B, "command-r", f'<|START_ACTION|>\n{{"tool_call_id": "0", "tool_name": "get_weather", "parameters": {_ARGUMENTS}}}\n<|END_ACTION|>', "", "", (GRAZ,)),
    "Qwen3-Coder leaves out an end": Output(CODER, "qwen3", CODER_CALL.replace("</function>\n", ""), "", "", (GRAZ,)),
    "Qwen3-Coder leaves the last argument open": Output(CODER, "qwen3", CODER_CALL.replace("2\n</parameter>", "2"), "", "", (GRAZ,)),
    "GLM leaves a key open": Output(GLM46, "glm", GLM_CALL.replace("</arg_key>", ""), "", "", (GRAZ,)),
    "Qwen3 calls as Qwen3-Coder does": Output(QWEN, "qwen3", CODER_CALL, "", "", (GRAZ,)),
    "Qwen3 calls as GLM does": Output(QWEN, "qwen3", GLM_CALL, "", "", (GRAZ,)),
    "Qwen3 calls as Mistral does": Output(QWEN, "qwen3", f"[TOOL_CALLS][{_CALL}]", "", "", (GRAZ,)),
    "DeepSeek R1 thinks behind an empty thought": Output(R1, "deepseek", "<think>\n\n</think>\n\n<think>\nHm.\n</think>\n\nFour.", "Hm.", "Four."),
    "Qwen3 thinks twice": Output(QWEN, "qwen3", "<think>\nA.\n</think>\n<think>\nB.\n</think>\nFour.", "A.\n\nB.", "Four."),
    "Magistral thinks twice": Output("Magistral", "mistral", "[THINK]A.[/THINK]\n[THINK]B.[/THINK]Four.", "A.\n\nB.", "Four."),
    "quotes for what no tool takes": Output(QWEN, "qwen3", '<tool_call>\n{"name": "write", "arguments": {"text": "a", "x": "b "c" d"}}\n</tool_call>', "", '<tool_call>\n{"name": "write", "arguments": {"text": "a", "x": "b "c" d"}}\n</tool_call>'),
    "quotes for an unknown tool": Output(QWEN, "qwen3", '<tool_call>\n{"name": "rm", "arguments": {"text": "b "c" d"}}\n</tool_call>', "", '<tool_call>\n{"name": "rm", "arguments": {"text": "b "c" d"}}\n</tool_call>'),
    "a text of quotes that is cut": Output(QWEN, "qwen3", '<tool_call>\n{"name": "write", "arguments": {"text": "b "c" d', "", '<tool_call>\n{"name": "write", "arguments": {"text": "b "c" d'),
    "Python that is shown": Output(L32, "llama", "Write [write(text='it's fine')] there.", "", "Write [write(text='it's fine')] there."),
}  # fmt: skip
