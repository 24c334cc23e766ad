"""Answers of small models that miss their own format, and answers that only look like calls.

As small models of the families Qwen 2.5, Llama 3.2 and Gemma write them, and models fine-tuned for tools.
"""

from __future__ import annotations

import json

from tests.runtimes.notation.outputs import GRAZ, HERMES_CALL, L31, STOPPED, WEATHER, Output

QWEN25, GEMMA, NEMO = (
    "Qwen-Qwen2.5-7B-Instruct",
    "google-gemma-2-2b-it",
    "mistralai-Mistral-Nemo-Instruct-2407",
)
CALL = '{"name": "get_weather", "arguments": {"city": "Graz", "days": 2}}'
STOP = '{"name": "stop", "arguments": {}}'
UNKNOWN = '{"name": "rm", "arguments": {"path": "/"}}'
MENTION = '{"name": "Graz", "arguments": "none", "population": 300000}'


def _qwen(said: str, *calls: tuple[str, dict[str, object]], content: str = "") -> Output:
    return Output(QWEN25, "qwen", said, "", content, calls or (GRAZ,))


def _text(said: str, template: str = QWEN25, family: str = "qwen") -> Output:
    return Output(template, family, said, "", said)


def _tagged(inner: str) -> str:
    return f"<tool_call>\n{inner}\n</tool_call>"


NEAR_OUTPUTS: dict[str, Output] = {
    "a fence": _qwen(f"```json\n{CALL}\n```"),
    "a fence without a language": _qwen(f"```\n{CALL}```\n"),
    "a fence that is not closed": _qwen(f"```json\n{CALL}"),
    "a fence ends the answer": _qwen(f"I will look.\n\n```json\n{CALL}\n```\n", content="I will look."),
    "a fence begins the answer": _qwen(f"```json\n{CALL}\n```\nI wait.", content="I wait."),
    "a fence of two": _qwen(f"```json\n{CALL}\n{STOP}\n```", GRAZ, STOPPED),
    "a fence of a list": _qwen(f"```json\n[{CALL}, {STOP}]\n```", GRAZ, STOPPED),
    "two fences at the end": _qwen(f"So:\n```json\n{CALL}\n```\n\n```json\n{STOP}\n```", GRAZ, STOPPED, content="So:"),
    "a fence around tags": _qwen(f"Look.\n```xml\n{HERMES_CALL}\n```", content="Look."),
    "a fence within tags": _qwen(_tagged(f"```json\n{CALL}\n```")),
    "a fence of Python": Output(GEMMA, "gemma", '```tool_code\nget_weather(city="Graz", days=2)\n```', "", "", (GRAZ,)),
    "a fence of a bare family": Output(L31, "llama", f"```json\n{CALL}\n```", "", "", (GRAZ,)),
    "a brace too many": _qwen(_tagged(CALL + "}")),
    "a brace too many, then a call": _qwen(_tagged(CALL + "}") + "\n" + _tagged(STOP), GRAZ, STOPPED),
    "braces too many at the end": _qwen(f"<tool_call>\n{CALL}}}}}"),
    "a brace too many, bare": Output(L31, "llama", CALL + "}", "", "", (GRAZ,)),
    "a bracket too many": Output(NEMO, "mistral", f"[TOOL_CALLS][{CALL}]]", "", "", (GRAZ,)),
    "a brace too many before text": _qwen(_tagged(CALL + "}") + "\nI wait.", content="I wait."),
    "double braces": _qwen(_tagged("{" + CALL + "}")),
    "a brace missing": _qwen(_tagged(CALL[:-1])),
    "two braces missing": _qwen(_tagged(CALL[:-2])),
    "a brace missing at the end": _qwen(f"<tool_call>\n{CALL[:-1]}"),
    "no opening tag": _qwen(f"{CALL}\n</tool_call>"),
    "no tags": _qwen(CALL),
    "no tags, behind text": _qwen(f"I look.\n{CALL}", content="I look."),
    "no tags, a list of Python": _qwen('[get_weather(city="Graz", days=2)]'),
    "another tag": _qwen(f"<tools>\n{CALL}\n</tools>"),
    "yet another tag": _qwen(f"I look.\n<function_call>{CALL}</function_call>", content="I look."),
    "tags of Phi": _qwen(f"<|tool_call|>[{CALL}]<|/tool_call|>"),
    "closed by the opening tag": _qwen(f"<tool_call>\n{CALL}\n<tool_call>"),
    "closed twice": _qwen(f"{HERMES_CALL}\n</tool_call>"),
    "opened twice": _qwen(f"<tool_call>\n{HERMES_CALL}"),
    "Python in tags": _qwen(_tagged('get_weather(city="Graz", days=2)')),
    "the name before the object": _qwen(_tagged('get_weather\n{"city": "Graz", "days": 2}')),
    "a function tag": _qwen('<function=get_weather>{"city": "Graz", "days": 2}</function>'),
    "arguments called args": _qwen(_tagged(CALL.replace("arguments", "args"))),
    "a name called tool": _qwen(_tagged(CALL.replace("name", "tool"))),
    "arguments beside the name": _qwen(_tagged('{"name": "get_weather", "city": "Graz", "days": 2}')),
    "the name as the key": _qwen(_tagged('{"get_weather": {"city": "Graz", "days": 2}}')),
    "an API's list": _qwen(_tagged(f'{{"tool_calls": [{{"type": "function", "function": {CALL}}}]}}')),
    "a fence that is explained": _text(f"Call it so:\n```json\n{CALL}\n```\nThat asks for two days."),
    "a fence of an unknown tool": _text(f"```json\n{UNKNOWN}\n```"),
    "a fence of a known and an unknown tool": _text(f"```json\n[{STOP}, {UNKNOWN}]\n```"),
    "a fence of data": _text(f"```json\n{MENTION}\n```"),
    "a fence of a schema": _text(f"```json\n{json.dumps(WEATHER)}\n```"),
    "a list of tools": _text(f'<tools>\n{{"type": "function", "function": {json.dumps(WEATHER)}}}\n</tools>'),
    "tags in a fence that is explained": _text(f"So:\n```xml\n{HERMES_CALL}\n```\nThat asks for two days."),
    "tags between quotes": _text(f"Use `{HERMES_CALL}` to ask for two days."),
    "tags in a fence that is explained, then a call": _qwen(f"So:\n```\n{_tagged(STOP)}\n```\nNow:\n{HERMES_CALL}", content=f"So:\n```\n{_tagged(STOP)}\n```\nNow:"),
    "tags of two calls in a fence": _qwen(f"So:\n```xml\n{HERMES_CALL}\n{_tagged(STOP)}\n```", GRAZ, STOPPED, content="So:"),
    "tags behind code": _qwen(f"```python\nx = 1\n```\n{HERMES_CALL}\nI wait.", content="```python\nx = 1\n```\n\nI wait."),
    "tags in a fence that is left open": _qwen(f"```python\nx = 1\n{HERMES_CALL}", content="```python\nx = 1"),
    "the description of a tool, bare": _text(f"I have:\n{json.dumps(WEATHER)}", L31, "llama"),
    "the description of a tool in tags": _text(_tagged(json.dumps(WEATHER))),
    "a fence of code": _text('```python\nget_weather(city="Graz", days=2)\n```'),
    "an answer in JSON": _text(MENTION),
    "JSON without arguments": _text('{"name": "stop"}'),
    "JSON that is explained": _text(f"It is\n{CALL}\nand asks for two days."),
    "a tag of text": _text("<tool>A hammer.</tool> <response>Four.</response>"),
    "braces of code": _text("```c\nif (a) {\n  b();\n}}\n```"),
}  # fmt: skip
