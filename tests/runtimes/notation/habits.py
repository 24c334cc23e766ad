"""Answers that real engines give beside their documented ones: marks left out, doubled or left open, thoughts opened again.

Kinds of answers that vLLM's, SGLang's and llama.cpp's own tests of these models know, with the tools of this place.
The templates are cut down to what shows the notation.
"""

from __future__ import annotations

from tests.runtimes.notation.outputs import (
    CODER,
    CODER_CALL,
    CONVERTED,
    GEMMA4,
    GLM46,
    GPT,
    GRAZ,
    KIMI,
    KIMI_T,
    L31,
    LFM,
    M3,
    QWEN,
    R1Q,
    SMALL,
    SOLAR,
    STOPPED,
    V31,
    V32,
    Output,
)

HABIT_TEMPLATES: dict[str, str] = {
    "Step3": (
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\n' + (m.content or '')"
        " }}{% if m.tool_calls %}{{ '<｜tool_calls_begin｜>' }}{% for c in m.tool_calls %}{% if not loop.first "
        "%}{{ '<｜tool_sep｜>' }}{% endif %}{{ '<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name=\"' "
        "+ c.function.name + '\">' }}{% for k, v in c.function.arguments.items() %}{{ '<steptml:parameter name"
        "=\"' + k + '\">' + (v if v is string else v|tojson) + '</steptml:parameter>' }}{% endfor %}{{ '</stept"
        "ml:invoke><｜tool_call_end｜>' }}{% endfor %}{{ '<｜tool_calls_end｜>' }}{% endif %}{{ '<|im_end|>\n' }}{"
        "% else %}{{ '<|im_start|>' + m.role + '\n' + (m.content or '') + '<|im_end|>\n' }}{% endif %}{% endfor"
        " %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "dots": (
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|response|>' + (m.content or '') }}{% if m"
        ".tool_calls %}{{ '<dots_function_call>' }}{% for c in m.tool_calls %}{{ '<invoke name=\"' + c.functio"
        "n.name + '\">' }}{% for k, v in c.function.arguments.items() %}{{ '<parameter name=\"' + k + '\">' + (v"
        " if v is string else v|tojson) + '</parameter>' }}{% endfor %}{{ '</invoke>' }}{% endfor %}{{ '</dot"
        "s_function_call>' }}{% endif %}{{ '<|endofresponse|>' }}{% else %}{{ '<|' + m.role + '|>' + (m.conte"
        "nt or '') + '<|endof' + m.role + '|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|r"
        "esponse|>' }}{% endif %}"
    ),
    "Granite-3.2": (
        "{% if thinking is defined and thinking %}{{ 'Write the thoughts after \\'Here is my thought process:\\"
        "' and write the response after \\'Here is my response:\\'.' }}{% endif %}{% for m in messages %}{{ '<|"
        "start_of_role|>' + m.role + '<|end_of_role|>' + (m.content or '') + '<|end_of_text|>\n' }}{% endfor %"
        "}{% if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}"
    ),
    "Hunyuan-7B": (
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\n' + (m.content or '')"
        " }}{% if m.tool_calls %}{{ '<tool_calls>' }}{% for c in m.tool_calls %}{{ '\n<tool_call>' + c.functio"
        "n.name + '\n```json\n' + (c.function.arguments|tojson) + '\n```</tool_call>' }}{% endfor %}{{ '\n</tool_"
        "calls>' }}{% endif %}{{ '<|im_end|>\n' }}{% else %}{{ '<|im_start|>' + m.role + '\n' + (m.content or '"
        "') + '<|im_end|>\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n"
        "' }}{% endif %}"
    ),
    "FunctionGemma-results": (
        "{% if tools %}{% for t in tools %}{{ '<start_function_declaration>declaration:' + t.function.name + "
        "'<end_function_declaration>' }}{% endfor %}{% endif %}{% for m in messages %}{% if m.role=='assistan"
        "t' %}{{ '<start_of_turn>model\\n' + (m.content or '') }}{% for c in m.tool_calls or [] %}{{ '<start_f"
        "unction_call>call:' + c.function.name + '{' }}{% for k, v in c.function.arguments.items() %}{{ k + '"
        ":' }}{% if v is string %}{{ '<escape>' + v + '<escape>' }}{% else %}{{ v }}{% endif %}{% if not loop"
        ".last %},{% endif %}{% endfor %}{{ '}<end_function_call>' }}{% endfor %}{{ '<end_of_turn>\\n' }}{% el"
        "if m.role=='tool' %}{{ '<start_function_response>response:' + m.content + '<end_function_response>' "
        "}}{% else %}{{ '<start_of_turn>user\\n' + m.content + '<end_of_turn>\\n' }}{% endif %}{% endfor %}{% i"
        "f add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
    ),
}

HABITS: dict[str, Output] = {
    "gpt-oss has a preamble and calls twice": Output("openai-gpt-oss-120b", "gpt-oss", "<|channel|>analysis<|message|>A.<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Graz\", \"days\": 2}<|call|><|start|>assistant<|channel|>commentary to=functions.stop <|constrain|>json<|message|>{}<|call|>", "A.", "I look.", (GRAZ, STOPPED,)),
    "gpt-oss ends without a mark": Output("openai-gpt-oss-120b", "gpt-oss", "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Graz\", \"days\": 2}", "", "", (GRAZ,)),
    "gpt-oss leaves out a blank": Output("openai-gpt-oss-120b", "gpt-oss", "<|channel|>commentary to=functions.get_weather<|constrain|>json<|message|>{\"city\": \"Graz\", \"days\": 2}<|call|>", "", "", (GRAZ,)),
    "gpt-oss names no type": Output("openai-gpt-oss-120b", "gpt-oss", "<|start|>assistant<|channel|>commentary to=functions.get_weather <|message|>{\"city\": \"Graz\", \"days\": 2}<|call|>", "", "", (GRAZ,)),
    "gpt-oss names its type without a mark": Output("openai-gpt-oss-120b", "gpt-oss", "<|channel|>commentary to=functions.get_weather json<|message|>{\"city\": \"Graz\", \"days\": 2}<|call|>", "", "", (GRAZ,)),
    "gpt-oss calls without a channel": Output("openai-gpt-oss-120b", "gpt-oss", "<|start|>assistant to=functions.get_weather<|message|>{\"city\": \"Graz\", \"days\": 2}<|call|>", "", "", (GRAZ,)),
    "gpt-oss calls with nothing": Output("openai-gpt-oss-120b", "gpt-oss", "<|channel|>commentary to=functions.stop <|constrain|>json<|message|><|call|>", "", "", (STOPPED,)),
    "gpt-oss leaves out the group": Output("openai-gpt-oss-120b", "gpt-oss", "<|channel|>commentary to=get_weather <|constrain|>json<|message|>{\"city\": \"Graz\", \"days\": 2}<|call|>", "", "", (GRAZ,)),
    "gpt-oss answers, then calls": Output("openai-gpt-oss-120b", "gpt-oss", "<|channel|>final<|message|>I call.<|end|><|start|>assistant<|channel|>commentary to=functions.stop <|constrain|>json<|message|>{}<|call|>", "", "I call.", (STOPPED,)),
    "gpt-oss writes escapes": Output("openai-gpt-oss-120b", "gpt-oss", "<|channel|>commentary to=functions.write <|constrain|>json<|message|>{\"text\": \"é \\u00e9 \\\"q\\\" \\n {x} <|end \"}<|call|>", "", "", (("write", {'text': 'é é "q" \n {x} <|end '}),)),
    "gpt-oss writes of a recipient": Output("openai-gpt-oss-120b", "gpt-oss", "<|channel|>final<|message|>Use `to=functions.stop`.<|return|>", "", "Use `to=functions.stop`."),
    "Mistral v11 leaves out a mark": Output("Mistral-Small-3.2-24B-Instruct-2506", "mistral", "[TOOL_CALLS]get_weather{\"city\": \"Graz\", \"days\": 2}", "", "", (GRAZ,)),
    "Mistral v11 leaves out two": Output("Mistral-Small-3.2-24B-Instruct-2506", "mistral", "[TOOL_CALLS]get_weather{\"city\": \"Graz\", \"days\": 2}[TOOL_CALLS]stop{}", "", "", (GRAZ, STOPPED,)),
    "Mistral v11 lists after one mark": Output(SMALL, "mistral", '[TOOL_CALLS]get_weather[ARGS]{"city": "Graz", "days": 2}, stop[ARGS]{}', "", '', (GRAZ, STOPPED)),
    "Mistral v11 lists without commas": Output(SMALL, "mistral", '[TOOL_CALLS]get_weather[ARGS]{"city": "Graz", "days": 2} stop[ARGS]{}stop[ARGS]', "", '', (GRAZ, STOPPED, STOPPED)),
    "Mistral v11 lists with ids": Output(SMALL, "mistral", '[TOOL_CALLS]get_weather[CALL_ID]a1b2c3d4e[ARGS]{"city": "Graz", "days": 2},\nstop[CALL_ID]b1b2c3d4e[ARGS]{}', "", '', (GRAZ, STOPPED)),
    "Mistral v11 lists in brackets": Output(SMALL, "mistral", '[TOOL_CALLS] [get_weather[ARGS]{"city": "Graz", "days": 2}, stop[ARGS]{}]', "", '', (GRAZ, STOPPED)),
    "Mistral v11 lists and marks": Output(SMALL, "mistral", '[TOOL_CALLS]get_weather[ARGS]{"city": "Graz", "days": 2}, stop[ARGS]{},[TOOL_CALLS]stop[ARGS]{}', "", '', (GRAZ, STOPPED, STOPPED)),
    "Mistral v11 lists and changes its form": Output(SMALL, "mistral", '[TOOL_CALLS]get_weather[ARGS]{"city": "Graz", "days": 2}, stop{}[TOOL_CALLS][{"name": "stop", "arguments": {}}]', "", '', (GRAZ, STOPPED, STOPPED)),
    "Mistral v11 lists what there is not": Output(SMALL, "mistral", '[TOOL_CALLS]look[ARGS]{}, get_weather[ARGS]{"city": "Graz", "days": 2}', "", 'look[ARGS]{}', (GRAZ,)),
    "Mistral v11 calls and goes on": Output(SMALL, "mistral", '[TOOL_CALLS]get_weather[ARGS]{"city": "Graz", "days": 2}, then stop {so}.', "", ', then stop {so}.', (GRAZ,)),
    "Mistral v3 names last": Output("mistralai-Mistral-Nemo-Instruct-2407", "mistral", "[TOOL_CALLS] [{\"arguments\": {\"city\": \"Graz\", \"days\": 2}, \"name\": \"get_weather\"}]", "", "", (GRAZ,)),
    "Mistral v3 has a name in the arguments": Output("mistralai-Mistral-Nemo-Instruct-2407", "mistral", "[TOOL_CALLS][{\"arguments\": {\"city\": \"name\", \"days\": 2}, \"name\": \"get_weather\"}]", "", "", (("get_weather", {'city': 'name', 'days': 2}),)),
    "Mistral v3 opens twice": Output("mistralai-Mistral-Nemo-Instruct-2407", "mistral", "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\":{\"city\": \"Graz\", \"days\": 2}}][TOOL_CALLS] [{\"name\": \"stop\", \"arguments\":{}}]", "", "", (GRAZ, STOPPED,)),
    "Mistral v3 goes on": Output("mistralai-Mistral-Nemo-Instruct-2407", "mistral", "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\":{\"city\": \"Graz\", \"days\": 2}}]\nmore", "", "more", (GRAZ,)),
    "Mistral v3 writes no list": Output("mistralai-Mistral-Nemo-Instruct-2407", "mistral", "[TOOL_CALLS] {\"name\": \"get_weather\", \"arguments\":{\"city\": \"Graz\", \"days\": 2}}", "", "", (GRAZ,)),
    "Mistral v13 has marks in a text": Output("unsloth-mistral-Devstral-Small-2507", "mistral", "[TOOL_CALLS]write[ARGS]{\n  \"text\": \"a[ARGS]b[TOOL_CALLS]\"\n}", "", "", (("write", {'text': 'a[ARGS]b[TOOL_CALLS]'}),)),
    "Mistral v13 gives nothing": Output("unsloth-mistral-Devstral-Small-2507", "mistral", "[TOOL_CALLS]stop[ARGS]", "", "", (STOPPED,)),
    "Ministral thinks of a mark": Output("mistralai-Ministral-3-14B-Reasoning-2512", "mistral", "[THINK]a [TOOL_CALLS] b[/THINK]Four.", "a [TOOL_CALLS] b", "Four."),
    "Ministral thinks to the end": Output("mistralai-Ministral-3-14B-Reasoning-2512", "mistral", "[THINK]a", "a"),
    "Kimi leaves blanks": Output("Kimi-K2-Instruct", "kimi", "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0 <|tool_call_argument_begin|>{\"city\": \"Graz\", \"days\": 2} <|tool_call_end|><|tool_calls_section_end|>", "", "", (GRAZ,)),
    "Kimi leaves out the group": Output("Kimi-K2-Instruct", "kimi", "<|tool_calls_section_begin|><|tool_call_begin|>get_weather:0<|tool_call_argument_begin|>{\"city\": \"Graz\", \"days\": 2}<|tool_call_end|><|tool_calls_section_end|>", "", "", (GRAZ,)),
    "Kimi leaves out the number": Output("Kimi-K2-Instruct", "kimi", "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather<|tool_call_argument_begin|>{\"city\": \"Graz\", \"days\": 2}<|tool_call_end|><|tool_calls_section_end|>", "", "", (GRAZ,)),
    "Kimi leaves a section open": Output("Kimi-K2-Instruct", "kimi", "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{\"city\": \"Graz\", \"days\": 2}<|tool_call_end|>", "", "", (GRAZ,)),
    "Kimi leaves a call open": Output("Kimi-K2-Instruct", "kimi", "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{\"city\": \"Graz\", \"days\": 2}", "", "", (GRAZ,)),
    "Kimi leaves out the section": Output("Kimi-K2-Thinking", "kimi", "<|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{\"city\": \"Graz\", \"days\": 2}<|tool_call_end|>", "", "", (GRAZ,)),
    "Kimi calls out of its thoughts": Output("Kimi-K2-Thinking", "kimi", "<think>Hm.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{\"city\": \"Graz\", \"days\": 2}<|tool_call_end|><|tool_calls_section_end|>", "Hm.", "", (GRAZ,)),
    "Kimi opens a section of one": Output("Kimi-K2-Instruct", "kimi", "<|tool_call_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{\"city\": \"Graz\", \"days\": 2}<|tool_call_end|><|tool_call_section_end|>", "", "", (GRAZ,)),
    "Kimi goes on": Output("Kimi-K2-Instruct", "kimi", "<|tool_calls_section_begin|><|tool_call_begin|>functions.stop:0<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>Done.", "", "Done.", (STOPPED,)),
    "Kimi calls nothing": Output("Kimi-K2-Instruct", "kimi", "Hi.<|tool_calls_section_begin|><|tool_calls_section_end|>", "", "Hi."),
    "Gemma 4 leaves a call open": Output("google-gemma-4-31B-it", "gemma", "<|tool_call>call:get_weather{city:<|\"|>Graz<|\"|>,days:2}", "", "", (GRAZ,)),
    "Gemma 4 leaves out a mark": Output("google-gemma-4-31B-it", "gemma", "<|channel>thought\nHm.\n<channel|>call:get_weather{city:<|\"|>Graz<|\"|>,days:2}", "Hm.", "", (GRAZ,)),
    "Gemma 4 writes a colon twice": Output("google-gemma-4-31B-it", "gemma", "<|tool_call>:call:get_weather{city:<|\"|>Graz<|\"|>,days:2}<tool_call|>", "", "", (GRAZ,)),
    "Gemma 4 leaves out a mark behind text": Output("google-gemma-4-31B-it", "gemma", "I look.\ncall:get_weather{city:<|\"|>Graz<|\"|>,days:2}", "", "I look.", (GRAZ,)),
    "Gemma 4 nests objects": Output("google-gemma-4-31B-it", "gemma", "<|tool_call>call:get_weather{city:<|\"|>Graz<|\"|>,near:[{a:<|\"|>b<|\"|>,c:[1,true,null]}],unit:null}<tool_call|>", "", "", (("get_weather", {'city': 'Graz', 'near': [{'a': 'b', 'c': [1, True, None]}], 'unit': None}),)),
    "Gemma 4 quotes as JSON does": Output("google-gemma-4-31B-it", "gemma", "<|tool_call>call:get_weather{city:\"Graz\",days:2}<tool_call|>", "", "", (GRAZ,)),
    "Gemma 4 closes at the end": Output("google-gemma-4-31B-it", "gemma", "<|channel>thought\n<channel|>Four.<channel|>", "", "Four."),
    "Gemma 4 thinks nothing at the end": Output("google-gemma-4-31B-it", "gemma", "<|channel>thought\n<channel|>Four.<|channel>thought\n<channel|>", "", "Four."),
    "Gemma 4 opens twice": Output("google-gemma-4-31B-it", "gemma", "<|channel><|channel>thought\n<channel|>Four.", "", "Four."),
    "Gemma 4 writes quotes and lines": Output("google-gemma-4-31B-it", "gemma", "<|tool_call>call:write{text:<|\"|>a \"b\"\n{c}\\n<|\"|>}<tool_call|>", "", "", (("write", {'text': 'a "b"\n{c}\\n'}),)),
    "Gemma 4 thinks twice": Output("google-gemma-4-31B-it", "gemma", "<|channel>thought\nA.\n<channel|>One.<|channel>thought\nB.\n<channel|>Two.", "A.\n\nB.", "One.Two."),
    "FunctionGemma asks for results": Output("FunctionGemma-results", "gemma", "<start_function_call>call:get_weather{city:<escape>Graz<escape>,days:2}<end_function_call><start_function_call>call:stop{}<end_function_call><start_function_response>", "", "", (GRAZ, STOPPED,)),
    "Gemma 3 prints a call": Output("google-gemma-2-2b-it", "gemma", "```tool_code\nprint(get_weather(city=\"Graz\", days=2))\n```", "", "", (GRAZ,)),
    "Gemma 3 prints one of two": Output("google-gemma-2-2b-it", "gemma", "```tool_code\nprint(get_weather(city=\"Graz\", days=2))\nstop()\n```", "", "", (GRAZ, STOPPED,)),
    "Gemma 3 calls a list": Output("google-gemma-2-2b-it", "gemma", "```tool_code\n[get_weather(city=\"Graz\", days=2)]\n```", "", "", (GRAZ,)),
    "Gemma 3 fences parameters": Output("google-gemma-2-2b-it", "gemma", "Okay.\n```json\n{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Graz\", \"days\": 2}}\n```", "", "Okay.", (GRAZ,)),
    "GLM gives a list": Output("GLM-4.6", "glm", "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Graz</arg_value>\n<arg_key>near</arg_key>\n<arg_value>[\"Linz\", \"Wien\"]</arg_value>\n</tool_call>", "", "", (("get_weather", {'city': 'Graz', 'near': ['Linz', 'Wien']}),)),
    "GLM has marks in a text": Output("GLM-4.7-Flash", "glm", "<tool_call>write<arg_key>text</arg_key><arg_value><a></arg_value> \n</a></arg_value></tool_call>", "", "", (("write", {'text': '<a></arg_value> \n</a>'}),), "</think>"),
    "GLM calls out of its thoughts": Output("GLM-4.7-Flash", "glm", "Hm.<tool_call>stop</tool_call>", "Hm.", "", (STOPPED,), "<think>"),
    "GLM opens its thoughts again": Output("GLM-4.6", "glm", "<think>Hm.</think>Four.", "Hm.", "Four.", (), "<|assistant|>\n<think>"),
    "GLM calls twice on a line": Output("GLM-4.6", "glm", "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Graz</arg_value>\n</tool_call><tool_call>stop\n</tool_call>", "", "", (("get_weather", {'city': 'Graz'}), STOPPED,)),
    "DeepSeek opens its thoughts again": Output("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "deepseek", "<think>\nHm.\n</think>\n\nFour.", "Hm.", "Four.", (), "<｜Assistant｜><think>\n"),
    "DeepSeek V3.1 leaves a call open": Output("deepseek-ai-DeepSeek-V3.1", "deepseek", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Graz\", \"days\": 2}", "", "", (GRAZ,), "</think>"),
    "DeepSeek V3.1 calls as V3 does": Output("deepseek-ai-DeepSeek-V3.1", "deepseek", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Graz\", \"days\": 2}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "", "", (GRAZ,), "</think>"),
    "DeepSeek V3.1 leaves out the section": Output("deepseek-ai-DeepSeek-V3.1", "deepseek", "<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Graz\", \"days\": 2}<｜tool▁call▁end｜>", "", "", (GRAZ,), "</think>"),
    "DeepSeek V3.2 calls twice": Output("deepseek-ai-DeepSeek-V3.2", "deepseek", "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">Graz</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" string=\"false\">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n<｜DSML｜invoke name=\"stop\">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>", "", "", (GRAZ, STOPPED,), "</think>"),
    "DeepSeek V3.2 leaves a section open": Output("deepseek-ai-DeepSeek-V3.2", "deepseek", "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">Graz</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" string=\"false\">2</｜DSML｜parameter>\n</｜DSML｜invoke>", "", "", (GRAZ,), "</think>"),
    "DeepSeek V3.2 gives a list": Output("deepseek-ai-DeepSeek-V3.2", "deepseek", "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">a \"b\"\n<c></｜DSML｜parameter>\n<｜DSML｜parameter name=\"near\" string=\"false\">[\"é\", \"\\u00e9\"]</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>", "", "", (("get_weather", {'city': 'a "b"\n<c>', 'near': ['é', 'é']}),), "</think>"),
    "DeepSeek R1 of no family": Output("llama-cpp-deepseek-r1", "", "</think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Graz\", \"days\": 2}```<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "", "", (GRAZ,)),
    "DeepSeek closes what it has not opened": Output("llama-cpp-deepseek-r1", "deepseek", "</think>Four.", "", "Four."),
    "Llama 3.1 calls on two lines": Output("meta-llama-Llama-3.1-8B-Instruct", "llama", "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Graz\", \"days\": 2}}\n{\"name\": \"stop\", \"parameters\": {}}", "", "", (GRAZ, STOPPED,)),
    "Llama 3.1 calls a list": Output("meta-llama-Llama-3.1-8B-Instruct", "llama", "[{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Graz\", \"days\": 2}}, {\"name\": \"stop\", \"parameters\": {}}]", "", "", (GRAZ, STOPPED,)),
    "Llama 4 says something first": Output("Llama-4", "llama4", "I look.\n\n[get_weather(city=\"Graz\", days=2)]", "", "I look.", (GRAZ,)),
    "Llama 4 nests": Output("Llama-4", "llama4", "<|python_start|>[get_weather(city=\"St. Pölten\", near=[\"a\", \"b'c\"], exact=True, unit=None)]<|python_end|>", "", "", (("get_weather", {'city': 'St. Pölten', 'near': ['a', "b'c"], 'exact': True, 'unit': None}),)),
    "Llama 3.2 gives a negative number": Output("meta-llama-Llama-3.2-3B-Instruct", "llama", "[get_weather(city=\"Graz\", days=-2)]", "", "", (("get_weather", {'city': 'Graz', 'days': -2}),)),
    "Granite 20B calls twice": Output("plain", "granite", "<function_call> {\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}\n<function_call> {\"name\": \"stop\", \"arguments\": {}}", "", "", (GRAZ, STOPPED,)),
    "Granite 3.2 thinks in words": Output("Granite-3.2", "granite", "Here is my thought process:\nHm.\nHere is my response:\nFour.", "Hm.", "Four."),
    "Granite 3.0 calls a list": Output("ibm-granite-granite-3.3-2B-Instruct", "granite", "<|tool_call|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}, {\"name\": \"stop\", \"arguments\": {}}]", "", "", (GRAZ, STOPPED,)),
    "Granite 3.1 has another mark": Output("ibm-granite-granite-3.3-2B-Instruct", "granite", "<tool_call>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}]", "", "", (GRAZ,)),
    "Command R7B calls twice": Output("CohereForAI-c4ai-command-r7b-12-2024-tool_use", "command-r", "<|START_THINKING|>Hm.<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"get_weather\", \"parameters\": {\"city\": \"Graz\", \"days\": 2}},\n    {\"tool_call_id\": \"1\", \"tool_name\": \"stop\", \"parameters\": {}}\n]<|END_ACTION|>", "Hm.", "", (GRAZ, STOPPED,)),
    "Command R7B only thinks": Output("CohereForAI-c4ai-command-r7b-12-2024-tool_use", "command-r", "<|START_THINKING|>Hm.<|END_THINKING|>", "Hm."),
    "Command R7B answers out of its thoughts": Output("CohereForAI-c4ai-command-r7b-12-2024-tool_use", "command-r", "<|START_THINKING|>Hm.<|START_RESPONSE|>Four.<|END_RESPONSE|>", "Hm.", "Four."),
    "Command R7B calls nothing": Output("CohereForAI-c4ai-command-r7b-12-2024-tool_use", "command-r", "<|START_THINKING|>Hm.<|END_THINKING|><|START_ACTION|>[]<|END_ACTION|><|START_RESPONSE|>Four.<|END_RESPONSE|>", "Hm.", "Four."),
    "Step3": Output("Step3", "step", "<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name=\"get_weather\"><steptml:parameter name=\"city\">Graz</steptml:parameter><steptml:parameter name=\"days\">2</steptml:parameter></steptml:invoke><｜tool_call_end｜><｜tool_calls_end｜>", "", "", (GRAZ,)),
    "dots": Output("dots", "dots", "ok<dots_function_call><invoke name=\"get_weather\"><parameter name=\"city\">Graz</parameter><parameter name=\"days\">2</parameter></invoke></dots_function_call>", "", "ok", (GRAZ,)),
    "Hunyuan 7B": Output("Hunyuan-7B", "hunyuan", "<tool_calls>\n<tool_call>get_weather\n```json\n{\"city\": \"Graz\", \"days\": 2}\n```</tool_call>\n</tool_calls>", "", "", (GRAZ,)),
    "Seed-OSS calls twice": Output("ByteDance-Seed-OSS", "seed", "<seed:think>Hm.</seed:think><seed:tool_call>\n<function=get_weather>\n<parameter=city>Graz</parameter>\n<parameter=days>2</parameter>\n</function>\n</seed:tool_call>\n<seed:tool_call>\n<function=stop>\n</function>\n</seed:tool_call>", "Hm.", "", (GRAZ, STOPPED,)),
    "Seed-OSS opens its thoughts again": Output("ByteDance-Seed-OSS", "seed", "<seed:think>Hm.</seed:think>Four.", "Hm.", "Four.", (), "<seed:think>"),
    "Qwen3 closes what it has not opened": Output("Qwen-Qwen3-0.6B", "qwen3", "</think>\n\nFour.", "", "Four."),
    "Qwen3.5 opens its thoughts again": Output("Qwen3.5-4B", "qwen3", "<think>\nHm.\n</think>\n\nFour.", "Hm.", "Four.", (), "<think>\n"),
    "QwQ thinks to the end": Output("Qwen-QwQ-32B", "qwen", "Hm.", "Hm.", "", (), "<think>\n"),
    "Qwen3-Coder leaves out two marks": Output("Qwen3-Coder", "qwen3", "<function=get_weather>\n<parameter=city>\nGraz\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n<function=stop>\n</function>", "", "", (GRAZ, STOPPED,)),
    "Qwen3-Coder leaves an argument open": Output("Qwen3-Coder", "qwen3", "<tool_call>\n<function=get_weather>\n<parameter=city>\nGraz\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>", "", "", (GRAZ,)),
    "Qwen3-Coder writes no lines": Output("Qwen3-Coder", "qwen3", "<tool_call>\n<function=get_weather>\n<parameter=city>Graz</parameter>\n<parameter=days>2</parameter>\n</function>\n</tool_call>", "", "", (GRAZ,)),
    "Qwen3-Coder calls as Qwen3 does": Output("Qwen3-Coder", "qwen3", "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}\n</tool_call>", "", "", (GRAZ,)),
    "Qwen3-Coder leaves a call open": Output("Qwen3-Coder", "qwen3", "<tool_call>\n<function=stop>", "", "", (STOPPED,)),
    "Nemotron Nano v2 goes on": Output("NVIDIA-Nemotron-Nano-v2", "nemotron", "<think></think><TOOLCALL>[{\"name\": \"stop\", \"arguments\": {}}]</TOOLCALL>\nDone.", "", "Done.", (STOPPED,)),
    "Nemotron 3 opens its thoughts again": Output("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "nemotron", "<think>\nHm.\n</think>\nFour.", "Hm.", "Four.", (), "<think>\n"),
    "Nemotron Nano v2 calls nothing": Output("NVIDIA-Nemotron-Nano-v2", "nemotron", "Four.<TOOLCALL>[]</TOOLCALL>", "", "Four."),
    "Mistral v3 calls nothing": Output("mistralai-Mistral-Nemo-Instruct-2407", "mistral", "[TOOL_CALLS][] Four.", "", "Four."),
    "Phi-4-mini calls twice": Output("Phi-4-mini", "phi", "functools[\n  {\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}},\n  {\"name\": \"stop\", \"arguments\": {}}\n]", "", "", (GRAZ, STOPPED,)),
    "Phi-4-mini has brackets in a text": Output("Phi-4-mini", "phi", "Look.\nfunctools[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"a]b\", \"near\": [\"x\"]}}]\nMore?", "", "Look.\n\nMore?", (("get_weather", {'city': 'a]b', 'near': ['x']}),)),
    "MiniMax-M3 opens its thoughts again": Output("MiniMax-M3", "minimax", "<mm:think>Hm.</mm:think>Four.", "Hm.", "Four.", (), "<mm:think>"),
    "MiniMax-M3 gives a list": Output("MiniMax-M3", "minimax", "]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name=\"get_weather\">]<]minimax[>[<city>Graz]<]minimax[>[</city>]<]minimax[>[<near>]<]minimax[>[<item>a]<]minimax[>[</item>]<]minimax[>[<item>b]<]minimax[>[</item>]<]minimax[>[</near>]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>", "", "", (("get_weather", {'city': 'Graz', 'near': ['a', 'b']}),)),
    "MiniMax-M3 has marks in a text": Output("MiniMax-M3", "minimax", "]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name=\"write\">]<]minimax[>[<text><a>\n</text> b]<]minimax[>[</text>]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>Write <response>.", "", "Write <response>.", (("write", {'text': '<a>\n</text> b'}),)),
    "MiniMax-M2 gives a list": Output("MiniMax-M2", "minimax", "<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">Graz</parameter>\n<parameter name=\"near\">[\"a\"]</parameter>\n</invoke>\n</minimax:tool_call>\n", "", "", (("get_weather", {'city': 'Graz', 'near': ['a']}),), "</think>"),
    "MiniMax-M2 leaves a section open": Output("MiniMax-M2", "minimax", "<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">Graz</parameter>\n</invoke>", "", "", (("get_weather", {'city': 'Graz'}),), "</think>"),
    "MiniMax-M2 writes of a tag": Output("MiniMax-M2", "minimax", "Write <response>x</response>.", "", "Write <response>x</response>.", (), "</think>"),
    "MiniCPM5 writes a section of characters": Output("openbmb-MiniCPM5-1B", "minicpm", "<function name=\"write\"><param name=\"text\"><![CDATA[<a href=\"/x\">hi</a> </param>]]></param></function>", "", "", (("write", {'text': '<a href="/x">hi</a> </param>'}),)),
    "Kimi-K3 answers": Output("Kimi-K3", "kimi", "Hm.<|close|>think<|sep|><|open|>response<|sep|>Four.<|close|>response<|sep|><|close|>message<|sep|>", "Hm.", "Four.", (), "<|open|>think<|sep|>"),
    "Kimi-K3 does not think": Output("Kimi-K3", "kimi", "<|open|>response<|sep|>Four.<|close|>response<|sep|><|close|>message<|sep|>", "", "Four.", (), "<|open|>think<|sep|>"),
    "Kimi-K3 only calls": Output("Kimi-K3", "kimi", "<|open|>response<|sep|><|close|>response<|sep|><|open|>tools<|sep|><|open|>call tool=\"stop\" index=\"1\"<|sep|><|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|>", "", "", (STOPPED,), "<|open|>think<|sep|>"),
    "LFM2 calls in JSON": Output("LFM2-8B-A1B", "lfm2", "<|tool_call_start|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}]<|tool_call_end|>", "", "", (GRAZ,)),
    "LFM2 leaves a call open": Output("LFM2-8B-A1B", "lfm2", "<|tool_call_start|>[get_weather(city=\"Graz\", days=2)]", "", "", (GRAZ,)),
    "LFM2 writes escapes": Output("LFM2-8B-A1B", "lfm2", "<|tool_call_start|>[write(text=\"a\\nb \\\"c\\\" [x](y) {z}\")]<|tool_call_end|>", "", "", (("write", {'text': 'a\nb "c" [x](y) {z}'}),)),
    "LFM2 writes words of JSON": Output("LFM2-8B-A1B", "lfm2", "<|tool_call_start|>[get_weather(city=\"Graz\", exact=true, unit=null)]<|tool_call_end|>", "", "", (("get_weather", {'city': 'Graz', 'exact': True, 'unit': None}),)),
    "Apertus leaves a call open": Output("Apertus-8B-Instruct", "apertus", "<|tools_prefix|>[{\"get_weather\": {\"city\": \"Graz\", \"days\": 2}}]", "", "", (GRAZ,)),
    "Apertus thinks twice": Output("Apertus-8B-Instruct", "apertus", "<|inner_prefix|>A.<|inner_suffix|>One.<|inner_prefix|>B.<|inner_suffix|>Two.", "A.\n\nB.", "One.Two."),
    "Hunyuan calls twice in its answer": Output("Hunyuan-A13B", "hunyuan", "<think>\nHm.\n</think>\n<answer>\n<tool_calls>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}, {\"name\": \"stop\", \"arguments\": {}}]</tool_calls>\n</answer>", "Hm.", "", (GRAZ, STOPPED,)),
    "Olmo-3 leaves a call open": Output("Olmo-3", "olmo", "<function_calls>get_weather(city=\"Graz\", days=2)", "", "", (GRAZ,)),
    "Olmo-3 has brackets in a text": Output("Olmo-3", "olmo", "<function_calls>\nwrite(text=\"a)b\\n(c\")\nstop()\n</function_calls>", "", "", (("write", {'text': 'a)b\n(c'}), STOPPED,)),
    "EXAONE 4 opens its thoughts again": Output("EXAONE-4", "exaone", "<think>\nHm.\n</think>\n\nFour.", "Hm.", "Four.", (), "[|assistant|]\n<think>\n"),
    "Solar Open calls twice": Output("upstage-Solar-Open-100B", "solar", "<|think|>Hm.<|end|><|begin|>assistant<|tool_calls|><|tool_call:begin|>a<|tool_call:name|>get_weather<|tool_call:args|>{\"city\": \"Graz\", \"days\": 2}<|tool_call:end|><|tool_call:begin|>b<|tool_call:name|>stop<|tool_call:args|>{}<|tool_call:end|><|calls|>", "Hm.", "", (GRAZ, STOPPED,)),
    "a mark of thoughts in a text": Output("Qwen-Qwen3-0.6B", "qwen3", "The tag is </think>", "", "The tag is </think>"),
    "a mark of calls in code": Output("Qwen-Qwen3-0.6B", "qwen3", "```python\nprint(\"<tool_call>\")\n```", "", "```python\nprint(\"<tool_call>\")\n```"),
}  # fmt: skip

_ARGUMENTS = '{"city": "Graz", "days": 2}'
_PYTHON_CALL = 'convert-money(from="978", in="EUR", max-age=1.5)'
_WRITTEN = "Write <response>, not <answer> or </response>, or </answer>."


def _write(text: str) -> tuple[str, dict[str, object]]:
    return "write", {"text": text}


HABITS |= {
    "Kimi gives nothing": Output(KIMI, "kimi", "<|tool_calls_section_begin|><|tool_call_begin|>functions.stop:0<|tool_call_argument_begin|><|tool_call_end|><|tool_calls_section_end|>", "", "", (STOPPED,)),
    "Solar Open gives nothing": Output(SOLAR, "solar", "<|tool_calls|><|tool_call:begin|>a<|tool_call:name|>stop<|tool_call:args|><|tool_call:end|><|calls|>", "", "", (STOPPED,)),
    "Kimi closes its thoughts behind its calls": Output(KIMI_T, "kimi", "<think>Hm.<|tool_calls_section_begin|><|tool_call_begin|>functions.stop:0<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|></think>", "Hm.", "", (STOPPED,)),
    "Qwen3.5 closes its thoughts behind its calls": Output("Qwen3.5-4B", "qwen3", f"Hm.\n{CODER_CALL}\n</think>\n\n", "Hm.", "", (GRAZ,), "<think>\n"),
    "GLM closes its thoughts behind its calls": Output(GLM46, "glm", "<think>Hm.\n<tool_call>stop\n</tool_call>\n</think>\n", "Hm.", "", (STOPPED,)),
    "DeepSeek V3 ends a fence on a line of its own": Output(R1Q, "deepseek", f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{_ARGUMENTS}\n```\n<｜tool▁call▁end｜>\n<｜tool▁calls▁end｜>", "", "", (GRAZ,), "</think>"),
    "DeepSeek V3.1 fences what it gives": Output(V31, "deepseek", f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>```json\n{_ARGUMENTS}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "", "", (GRAZ,), "</think>"),
    "DeepSeek V3.2 gives JSON": Output(V32, "deepseek", f'<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n{_ARGUMENTS}\n</｜DSML｜invoke>\n</｜DSML｜function_calls>', "", "", (GRAZ,), "</think>"),
    "Mistral v11 writes a line for a mark": Output(SMALL, "mistral", f"[TOOL_CALLS]get_weather\n{_ARGUMENTS}", "", "", (GRAZ,)),
    "Mistral v11 writes brackets": Output(SMALL, "mistral", f"[TOOL_CALLS]get_weather({_ARGUMENTS})[TOOL_CALLS]stop ( {{}} )", "", "", (GRAZ, STOPPED)),
    "Llama 3.3 leaves its tag open": Output(L31, "llama", f"<function=get_weather{_ARGUMENTS}</function>", "", "", (GRAZ,)),
    "Llama 3.3 closes its tag late": Output(L31, "llama", f"I look.\n<function=get_weather{_ARGUMENTS}>\n<function=stop{{}}>", "", "I look.", (GRAZ, STOPPED)),
    "Llama 3.3 writes brackets": Output(L31, "llama", f"<function=get_weather({_ARGUMENTS})</function>", "", "", (GRAZ,)),
    "Llama 3.3 gives nothing": Output(L31, "llama", "<function=stop></function>", "", "", (STOPPED,)),
    "Llama 4 writes no list": Output("Llama-4", "llama4", '<|python_start|>get_weather(city="Graz", days=2)<|python_end|>', "", "", (GRAZ,)),
    "Llama 4 gives names that Python has not": Output("Llama-4", "llama4", f"[{_PYTHON_CALL}, stop()]", "", "", (CONVERTED, STOPPED)),
    "LFM2 gives names that Python has not": Output(LFM, "lfm2", f"<|tool_call_start|>[{_PYTHON_CALL}]<|tool_call_end|>", "", "", (CONVERTED,)),
    "LFM2 writes no list": Output(LFM, "lfm2", '<|tool_call_start|>get_weather(city="Graz", days=2)<|tool_call_end|>', "", "", (GRAZ,)),
    "LFM2 writes calls in a text": Output(LFM, "lfm2", "<|tool_call_start|>[write(text='f(x=1, y=\"z(\") == 2')]<|tool_call_end|>", "", "", (_write('f(x=1, y="z(") == 2'),)),
    "LFM2 writes three quotes": Output(LFM, "lfm2", '<|tool_call_start|>[write(text="""it\'s\n"x=1" (y)""")]<|tool_call_end|>', "", "", (_write('it\'s\n"x=1" (y)'),)),
    "Olmo-3 gives names that Python has not": Output("Olmo-3", "olmo", f"<function_calls>\n{_PYTHON_CALL}\nstop()\n</function_calls>", "", "", (CONVERTED, STOPPED)),
    "Qwen3-Coder quotes names": Output(CODER, "qwen3", '<tool_call>\n<function="get_weather">\n<parameter="city">\nGraz\n</parameter>\n<parameter=\'days\'>\n2\n</parameter>\n</function>\n</tool_call>', "", "", (GRAZ,)),
    "Qwen3-Coder writes names as attributes": Output(CODER, "qwen3", '<tool_call>\n<function name="get_weather">\n<parameter name="city">\nGraz\n</parameter>\n<parameter name=days>\n2\n</parameter>\n</function>\n</tool_call>', "", "", (GRAZ,)),
    "Qwen3-Coder writes a name as an attribute and no first mark": Output(CODER, "qwen3", 'I look.\n<function name=get_weather>\n<parameter=city>\nGraz\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>', "", "I look.", (GRAZ,)),
    "Qwen3-Coder ends lines as Windows does": Output(CODER, "qwen3", "<tool_call>\r\n<function=write>\r\n<parameter=text>\r\na\r\nb\r\n</parameter>\r\n</function>\r\n</tool_call>", "", "", (("write", {"text": "a\r\nb"}),)),
    "Qwen3-Coder gives types that are named once": Output(CODER, "qwen3", "<tool_call>\n<function=convert-money>\n<parameter=from>\n978\n</parameter>\n<parameter=in>\n978\n</parameter>\n<parameter=class>\n978\n</parameter>\n<parameter=version>\n3.10\n</parameter>\n</function>\n</tool_call>", "", "", (("convert-money", {"from": "978", "in": "978", "class": "978", "version": "3.10"}),)),
    "MiniMax-M3 gives types that are named once": Output(M3, "minimax", ']<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="convert-money">]<]minimax[>[<places>]<]minimax[>[<item>]<]minimax[>[<zip>978]<]minimax[>[</zip>]<]minimax[>[</item>]<]minimax[>[</places>]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>', "", "", (("convert-money", {"places": [{"zip": "978"}]}),)),
    "Qwen3-Coder gives a number that JSON has not": Output(CODER, "qwen3", "<tool_call>\n<function=convert-money>\n<parameter=max-age>\nInfinity\n</parameter>\n</function>\n</tool_call>", "", "", (("convert-money", {"max-age": "Infinity"}),)),
    "Qwen3 gives a number that is too large": Output(QWEN, "qwen3", '<tool_call>\n{"name": "get_weather", "arguments": {"days": 1e999}}\n</tool_call>', "", '<tool_call>\n{"name": "get_weather", "arguments": {"days": 1e999}}\n</tool_call>'),
    "Qwen3 gives half of a character": Output(QWEN, "qwen3", '<tool_call>\n{"name": "write", "arguments": {"text": "\\ud83d\\ude00 \\ud83d"}}\n</tool_call>', "", "", (_write("😀 �"),)),
    "MiroThinker calls a server's tool": Output(QWEN, "qwen3", f"<think>\nHm.\n</think>\n\nI look.\n\n<use_mcp_tool>\n<server_name>tool-weather</server_name>\n<tool_name>get_weather</tool_name>\n<arguments>\n{_ARGUMENTS}\n</arguments>\n</use_mcp_tool>", "Hm.", "I look.", (GRAZ,)),
    "Qwen3 gives an empty list": Output(QWEN, "qwen3", '<tool_call>\n{"name": "stop", "arguments": []}\n</tool_call>', "", "", (STOPPED,)),
    "Gemma 4 leaves out quotes": Output(GEMMA4, "gemma", "<|tool_call>call:get_weather{city:New York,exact:True,near:[a b,c],unit:None}<tool_call|>", "", "", (("get_weather", {"city": "New York", "exact": True, "near": ["a b", "c"], "unit": None}),)),
    "Gemma 4 writes the quotes of JSON": Output(GEMMA4, "gemma", '<|tool_call>call:get_weather{city:"Graz, at: 5",days:2}<tool_call|>', "", "", (("get_weather", {"city": "Graz, at: 5", "days": 2}),)),
    "gpt-oss gives nothing as null": Output(GPT, "gpt-oss", "<|channel|>commentary to=functions.stop <|constrain|>json<|message|>null<|call|>", "", "", (STOPPED,)),
    "gpt-oss writes as Python does": Output(GPT, "gpt-oss", "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{'city': 'Graz', 'days': 2}<|call|>", "", "", (GRAZ,)),
    "gpt-oss writes a brace too many": Output(GPT, "gpt-oss", f"<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{_ARGUMENTS}}}<|call|>", "", "", (GRAZ,)),
    "Hunyuan writes of its marks": Output("Hunyuan-A13B", "hunyuan", f"<think>\nHm.\n</think>\n<answer>\n{_WRITTEN}\n</answer>", "Hm.", _WRITTEN),
    "Granite 3.3 opens its mark in a text": Output("ibm-granite-granite-3.3-2B-Instruct", "granite", "This is it.\n<response>\nFour.\n</response>", "", "This is it.\n<response>\nFour.\n</response>"),
    "Granite 3.3 writes of its marks": Output("ibm-granite-granite-3.3-2B-Instruct", "granite", f"<think>Hm.</think><response>{_WRITTEN}</response>", "Hm.", _WRITTEN),
    "ERNIE writes of its marks": Output("ERNIE-4.5", "ernie", _WRITTEN, "", _WRITTEN, (), "</think>"),
}  # fmt: skip
