"""More answers as publishers document them: of families that llama.cpp's sources carry no template of, and of habits
that models have beside their notation.

The templates are cut down to what shows the notation.
"""

from __future__ import annotations

from tests.runtimes.notation.outputs import CODER_CALL, GLM_CALL, GRAZ, HERMES_CALL, STOPPED, Output

MORE_TEMPLATES: dict[str, str] = {
    "plain": (
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\\n' + (m.content or '') + "
        "'<|im_end|>\\n' }}{% else %}{{ '<|im_start|>' + m.role + '\\n' + (m.content or '') + '<|im_end|>\\n' }}{% e"
        "ndif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "xLAM-2": (
        "{% if tools %}{{ '<|im_start|>system\\n' + (tools|tojson) + '<|im_end|>\\n' }}{% endif %}{% for m in messa"
        "ges %}{% if m.role == 'assistant' %}{% if m.tool_calls %}{{ '<|im_start|>assistant\\n' }}[{% for c in m.t"
        "ool_calls %}{{ {'name': c.function.name, 'arguments': c.function.arguments}|tojson }}{% if not loop.last"
        " %}, {% endif %}{% endfor %}]{{ '<|im_end|>\\n' }}{% else %}{{ '<|im_start|>assistant\\n' + (m.content or "
        "'') + '<|im_end|>\\n' }}{% endif %}{% else %}{{ '<|im_start|>' + m.role + '\\n' + (m.content or '') + '<|i"
        "m_end|>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endi"
        "f %}"
    ),
    "ToolACE": (
        "{% if tools %}{{ 'If you decide to invoke any of the function(s), you MUST put it in the format of [func"
        "_name1(params_name1=params_value1, params_name2=params_value2...), func_name2(params)]' + (tools|tojson)"
        " }}{% endif %}{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\\n' + (m.con"
        "tent or '') + '<|im_end|>\\n' }}{% else %}{{ '<|im_start|>' + m.role + '\\n' + (m.content or '') + '<|im_e"
        "nd|>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %"
        "}"
    ),
    "Hunyuan-A13B": (
        "{% for m in messages %}{% if m.role=='user' %}{{ '<|startoftext|>' + m.content + '<|extra_0|>' }}{% elif"
        " m.role=='assistant' %}{% set c = m.content or '' %}{% if '<answer>' in c %}{% set c = c.split('<answer>"
        "')[-1].split('</answer>')[0] %}{% endif %}{{ c + '<|eos|>' }}{% else %}{{ m.content + '<|extra_4|>' }}{%"
        " endif %}{% endfor %}{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\\n\\n</think>\\"
        "n' }}{% endif %}"
    ),
    "ERNIE-4.5": (
        "{% for m in messages %}{% if m.role=='assistant' %}{{ '<|im_start|>assistant\\n' }}{% if m.reasoning_cont"
        "ent %}{{ '<think>\\n' + m.reasoning_content + '\\n</think>\\n\\n' }}{% endif %}{% if m.content %}{{ '<respon"
        "se>\\n' + m.content + '\\n</response>\\n' }}{% endif %}{% for c in m.tool_calls or [] %}{{ '\\n<tool_call>\\n"
        "' + ({'name': c.function.name, 'arguments': c.function.arguments}|tojson) + '\\n</tool_call>\\n' }}{% endf"
        "or %}{{ '<|im_end|>\\n\\n' }}{% else %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n\\n' }}"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}"
    ),
    "Olmo-3": (
        "{% if tools %}{{ '<functions>' + (tools|tojson) + '</functions>' }}{% endif %}{% for m in messages %}{% "
        "if m.role=='assistant' %}{{ '<|im_start|>assistant\\n' + (m.content or '') }}{% if m.tool_calls %}{{ '<fu"
        "nction_calls>' }}{% for c in m.tool_calls %}{{ c.function.name + '(' }}{% for k, v in c.function.argumen"
        "ts.items() %}{{ k + '=' + (v|tojson) }}{% if not loop.last %}, {% endif %}{% endfor %}{{ ')' }}{% if not"
        " loop.last %}{{ '\\n' }}{% endif %}{% endfor %}{{ '</function_calls>' }}{% endif %}{{ '<|im_end|>\\n' }}{%"
        " else %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}{% if ad"
        "d_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "Olmo-3-Think": (
        "{% if tools %}{{ '<functions>' + (tools|tojson) + '</functions>' }}{% endif %}{% for m in messages %}{% "
        "if m.role=='assistant' %}{{ '<|im_start|>assistant\\n' + (m.content or '') }}{% if m.tool_calls %}{{ '<fu"
        "nction_calls>' }}{% for c in m.tool_calls %}{{ c.function.name + '(' }}{% for k, v in c.function.argumen"
        "ts.items() %}{{ k + '=' + (v|tojson) }}{% if not loop.last %}, {% endif %}{% endfor %}{{ ')' }}{% if not"
        " loop.last %}{{ '\\n' }}{% endif %}{% endfor %}{{ '</function_calls>' }}{% endif %}{{ '<|im_end|>\\n' }}{%"
        " else %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}{% if ad"
        "d_generation_prompt %}{{ '<|im_start|>assistant\\n<think>' }}{% endif %}"
    ),
    "EXAONE-4": (
        "{% if tools %}{{ '[|system|]' + (tools|tojson) + '[|endofturn|]' }}{% endif %}{% for m in messages %}{% "
        "if m.role=='assistant' %}{{ '[|assistant|]\\n<think>\\n\\n</think>\\n\\n' + (m.content or '') }}{% for c in m"
        ".tool_calls or [] %}{{ '<tool_call>' + ({'name': c.function.name, 'arguments': c.function.arguments}|toj"
        "son) + '</tool_call>' }}{% endfor %}{{ '[|endofturn|]\\n' }}{% else %}{{ '[|' + m.role + '|]\\n' + m.conte"
        "nt + '[|endofturn|]\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '[|assistant|]\\n' }}{% "
        "if enable_thinking is defined and enable_thinking %}{{ '<think>\\n' }}{% else %}{{ '<think>\\n\\n</think>\\n"
        "\\n' }}{% endif %}{% endif %}"
    ),
    "EXAONE-Deep": (
        "{% for m in messages %}{% if m.role=='assistant' %}{{ '[|assistant|]' + (m.content or '').split('</thoug"
        "ht>')[-1] + '[|endofturn|]\\n' }}{% else %}{{ '[|' + m.role + '|]' + m.content + '\\n' }}{% endif %}{% end"
        "for %}{% if add_generation_prompt %}{{ '[|assistant|]<thought>\\n' }}{% endif %}"
    ),
    "Jamba": (
        "{% if tools %}{{ '<tool_definitions>' + (tools|tojson) }}{% endif %}{% for m in messages %}{% if m.role="
        "='assistant' %}{{ '<|bom|><|assistant|> ' + (m.content or '') }}{% if m.tool_calls %}{{ '<tool_calls>[' "
        '}}{% for c in m.tool_calls %}{{ \'\\n    {"name": "\' + c.function.name + \'", "arguments": \' + (c.function.'
        "arguments|tojson) + '}' }}{% if not loop.last %},{% endif %}{% endfor %}{{ '\\n]</tool_calls>' }}{% endif"
        " %}{{ '<|eom|>' }}{% else %}{{ '<|bom|><|' + m.role + '|> ' + m.content + '<|eom|>' }}{% endif %}{% endf"
        "or %}{% if add_generation_prompt %}{{ '<|bom|><|assistant|>' }}{% endif %}"
    ),
    "InternLM2.5": (
        "{% for m in messages %}{% if m.role=='assistant' %}{{ '<|im_start|>assistant\\n' + (m.content or '') }}{%"
        " for c in m.tool_calls or [] %}{{ '<|action_start|><|plugin|>\\n' + ({'name': c.function.name, 'parameter"
        "s': c.function.arguments}|tojson) + '<|action_end|>' }}{% endfor %}{{ '<|im_end|>\\n' }}{% else %}{{ '<|i"
        "m_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}{% if add_generation_pr"
        "ompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "Reka-Flash": (
        "{% for m in messages %}{% if m.role=='assistant' %}{{ 'assistant: ' + ((m.content or '').split('</reason"
        "ing>')|last) + ' <sep> ' }}{% else %}{{ 'human: ' + m.content + ' <sep> ' }}{% endif %}{% endfor %}{% if"
        " add_generation_prompt %}{{ 'assistant: <reasoning>\\n' }}{% endif %}"
    ),
    "think": (
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\\n' + (m.content or '').sp"
        "lit('</think>')[-1] + '<|im_end|>\\n' }}{% else %}{{ '<|im_start|>' + m.role + '\\n' + (m.content or '') +"
        " '<|im_end|>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%"
        " endif %}"
    ),
    "Falcon-H1": (
        "{% if tools %}{{ tools|tojson }}{% endif %}{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im"
        "_start|>assistant\\n' + (m.content or '') }}{% for c in m.tool_calls or [] %}{{ '<tool_call>\\n[' + ({'nam"
        "e': c.function.name, 'arguments': c.function.arguments}|tojson) + ']\\n</tool_call>' }}{% endfor %}{{ '<|"
        "im_end|>\\n' }}{% else %}{{ '<|im_start|>' + m.role + '\\n' + (m.content or '') + '<|im_end|>\\n' }}{% endi"
        "f %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "Groq-Tool": (
        "{% if tools %}{{ tools|tojson }}{% endif %}{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im"
        "_start|>assistant\\n' + (m.content or '') }}{% for c in m.tool_calls or [] %}{{ '<tool_call>\\n' + ({'id':"
        " loop.index0, 'name': c.function.name, 'arguments': c.function.arguments}|tojson) + '\\n</tool_call>' }}{"
        "% endfor %}{{ '<|im_end|>\\n' }}{% else %}{{ '<|im_start|>' + m.role + '\\n' + (m.content or '') + '<|im_e"
        "nd|>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %"
        "}"
    ),
    "GLM-4-0414": (
        "{% if tools %}{{ '<|system|>\\n' + (tools|tojson) }}{% endif %}{% for m in messages %}{% if m.role=='assi"
        "stant' %}{% if m.tool_calls %}{% for c in m.tool_calls %}{{ '<|assistant|>' + c.function.name + '\\n' + ("
        "c.function.arguments|tojson) }}{% endfor %}{% else %}{{ '<|assistant|>\\n' + (m.content or '') }}{% endif"
        " %}{% else %}{{ '<|' + m.role + '|>\\n' + m.content }}{% endif %}{% endfor %}{% if add_generation_prompt "
        "%}{{ '<|assistant|>' }}{% endif %}"
    ),
    "HyperCLOVA": (
        "{% if tools %}{{ tools|tojson }}{% endif %}{% for m in messages %}{% if m.role == 'assistant' %}{% if m."
        "tool_calls %}{{ '<|im_start|>assistant -> tool/function_call\\n[' }}{% for c in m.tool_calls %}{{ {'name'"
        ": c.function.name, 'arguments': c.function.arguments}|tojson }}{% if not loop.last %}, {% endif %}{% end"
        "for %}{{ ']<|im_end|>\\n' }}{% else %}{{ '<|im_start|>assistant\\n' + (m.content or '') + '<|im_end|>\\n' }"
        "}{% endif %}{% else %}{{ '<|im_start|>' + m.role + '\\n' + (m.content or '') + '<|im_end|>\\n' }}{% endif "
        "%}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}"
    ),
    "FunctionGemma": (
        "{% if tools %}{% for t in tools %}{{ '<start_function_declaration>declaration:' + t.function.name + '<en"
        "d_function_declaration>' }}{% endfor %}{% endif %}{% for m in messages %}{% if m.role=='assistant' %}{{ "
        "'<start_of_turn>model\\n' + (m.content or '') }}{% for c in m.tool_calls or [] %}{{ '<start_function_call"
        ">call:' + c.function.name + '{' }}{% for k, v in c.function.arguments.items() %}{{ k + ':' }}{% if v is "
        "string %}{{ '<escape>' + v + '<escape>' }}{% else %}{{ v }}{% endif %}{% if not loop.last %},{% endif %}"
        "{% endfor %}{{ '}<end_function_call>' }}{% endfor %}{{ '<end_of_turn>\\n' }}{% else %}{{ '<start_of_turn>"
        "user\\n' + m.content + '<end_of_turn>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<star"
        "t_of_turn>model\\n' }}{% endif %}"
    ),
    "LongCat": (
        "{% if tools %}{{ tools|tojson }}{% endif %}{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im"
        "_start|>assistant\\n' + (m.content or '') }}{% for c in m.tool_calls or [] %}{{ '<longcat_tool_call>' + ("
        "{'name': c.function.name, 'arguments': c.function.arguments}|tojson) + '</longcat_tool_call>' }}{% endfo"
        "r %}{{ '<|im_end|>\\n' }}{% else %}{{ '<|im_start|>' + m.role + '\\n' + (m.content or '') + '<|im_end|>\\n'"
        " }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "MiniCPM3": (
        "{% if tools %}{{ tools|tojson }}{% endif %}{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im"
        "_start|>assistant\\n' + (m.content or '') }}{% if m.tool_calls %}{{ '<|tool_call_start|>\\n```python\\n' }}"
        "{% for c in m.tool_calls %}{{ c.function.name + '(' }}{% for k, v in c.function.arguments.items() %}{{ k"
        " + '=' + (v|tojson) }}{% if not loop.last %}, {% endif %}{% endfor %}{{ ')\\n' }}{% endfor %}{{ '```\\n<|t"
        "ool_call_end|>' }}{% endif %}{{ '<|im_end|>\\n' }}{% else %}{{ '<|im_start|>' + m.role + '\\n' + (m.conten"
        "t or '') + '<|im_end|>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assista"
        "nt\\n' }}{% endif %}"
    ),
    "Nemotron-Super": (
        "{% for m in messages %}{% if m.role=='assistant' %}{% set c=m.content or '' %}{% if '</think>' in c %}{%"
        " set c=c.split('</think>')[-1] %}{% endif %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' + c }"
        "}{% if m.tool_calls %}{{ '<TOOLCALL>[' }}{% for t in m.tool_calls %}{{ '{\"name\": \"' + t.function.name + "
        "'\", \"arguments\": ' + (t.function.arguments|tojson) + '}' }}{% if not loop.last %}, {% endif %}{% endfor "
        "%}{{ ']</TOOLCALL>' }}{% endif %}{{ '<|eot_id|>' }}{% else %}{{ '<|start_header_id|>' + m.role + '<|end_"
        "header_id|>\\n\\n' + m.content + '<|eot_id|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<"
        "|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
    ),
    "Mistral-v0.3": (
        "{{ bos_token }}{% for m in messages %}{% if m.role=='user' %}{% if tools and loop.last %}{{ '[AVAILABLE_"
        "TOOLS] ' + (tools|tojson) + '[/AVAILABLE_TOOLS]' }}{% endif %}{{ '[INST] ' + m.content + '[/INST]' }}{% "
        "elif m.tool_calls %}{{ '[TOOL_CALLS] [' }}{% for c in m.tool_calls %}{{ '{\"name\": \"' + c.function.name +"
        ' \'", "arguments": \' + (c.function.arguments|tojson) + \', "id": "\' + c.id + \'"}\' }}{% if not loop.last %}'
        ", {% endif %}{% endfor %}{{ ']' + eos_token }}{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% e"
        "ndfor %}"
    ),
}

MORE_OUTPUTS: dict[str, Output] = {
    "xLAM-2 list": Output("xLAM-2", "xlam", "[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}, {\"name\": \"stop\", \"arguments\": {}}]", "", "", (GRAZ, STOPPED,)),
    "xLAM-2 one obj": Output("xLAM-2", "xlam", "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}", "", "", (GRAZ,)),
    "xLAM-2 text": Output("xLAM-2", "xlam", "[1] is a citation.", "", "[1] is a citation."),
    "ToolACE": Output("ToolACE", "toolace", "[get_weather(city=\"Graz\", days=2), stop()]", "", "", (GRAZ, STOPPED,)),
    "Hunyuan answer": Output("Hunyuan-A13B", "hunyuan", "<think>\nHm.\n</think>\n<answer>\nFour.\n</answer>", "Hm.", "Four."),
    "Hunyuan calls": Output("Hunyuan-A13B", "hunyuan", "<think>\nHm.\n</think>\n<answer>\nLook.\n</answer>\n<tool_calls>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}]</tool_calls>", "Hm.", "Look.", (GRAZ,)),
    "ERNIE": Output("ERNIE-4.5", "ernie", "Hm.\n</think>\n\n<response>\nFour.\n</response>\n", "Hm.", "Four.", (), "<think>\n"),
    "ERNIE calls": Output("ERNIE-4.5", "ernie", "Hm.\n</think>\n\n\n" + HERMES_CALL + "\n", "Hm.", "", (GRAZ,), "<think>\n"),
    "Olmo-3": Output("Olmo-3", "olmo", "<function_calls>get_weather(city=\"Graz\", days=2)\nstop()</function_calls>", "", "", (GRAZ, STOPPED,)),
    "Olmo-3 said": Output("Olmo-3", "olmo", "Look.<function_calls>get_weather(city=\"Graz\", days=2)</function_calls>", "", "Look.", (GRAZ,)),
    "Olmo-3 think": Output("Olmo-3-Think", "olmo", "Hm.</think>Four.", "Hm.", "Four.", (), "<think>"),
    "EXAONE-4": Output("EXAONE-4", "exaone", "Hm.\n</think>\n\n<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}</tool_call>", "Hm.", "", (GRAZ,), "<think>\n"),
    "EXAONE-4 off": Output("EXAONE-4", "exaone", "Four.", "", "Four.", (), "</think>\n\n"),
    "EXAONE-Deep": Output("EXAONE-Deep", "exaone", "Hm.\n</thought>\n\nFour.", "Hm.", "Four.", (), "[|assistant|]<thought>\n"),
    "Jamba": Output("Jamba", "jamba", " <tool_calls>[\n    {\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}},\n    {\"name\": \"stop\", \"arguments\": {}}\n]</tool_calls>", "", "", (GRAZ, STOPPED,)),
    "InternLM": Output("InternLM2.5", "internlm", "Look.<|action_start|><|plugin|>\n{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Graz\", \"days\": 2}}<|action_end|>", "", "Look.", (GRAZ,)),
    "Reka": Output("Reka-Flash", "reka", "Hm.\n</reasoning>\nFour.", "Hm.", "Four.", (), "assistant: <reasoning>\n"),
    "think split": Output("think", "", "<think>\nHm.\n</think>\nFour.", "Hm.", "Four."),
    "Falcon": Output("Falcon-H1", "falcon", "<tool_call>\n[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}]\n</tool_call>", "", "", (GRAZ,)),
    "Falcon obj": Output("Falcon-H1", "falcon", HERMES_CALL, "", "", (GRAZ,)),
    "Groq": Output("Groq-Tool", "llama", "<tool_call>\n{\"id\": 0, \"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}\n</tool_call>", "", "", (GRAZ,)),
    "GLM-4": Output("GLM-4-0414", "glm", "get_weather\n{\"city\": \"Graz\", \"days\": 2}", "", "", (GRAZ,), "<|assistant|>"),
    "GLM-4 text": Output("GLM-4-0414", "glm", "\nThe weather is fine.", "", "The weather is fine.", (), "<|assistant|>"),
    "HyperCLOVA": Output("HyperCLOVA", "hyperclova", " -> tool/function_call\n[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}]", "", "", (GRAZ,)),
    "FunctionGemma": Output("FunctionGemma", "gemma", "<start_function_call>call:get_weather{city:<escape>Graz<escape>,days:2}<end_function_call>", "", "", (GRAZ,)),
    "LongCat": Output("LongCat", "longcat", "<longcat_tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}</longcat_tool_call>", "", "", (GRAZ,)),
    "MiniCPM3": Output("MiniCPM3", "minicpm", "<|tool_call_start|>\n```python\nget_weather(city=\"Graz\", days=2)\nstop()\n```\n<|tool_call_end|>", "", "", (GRAZ, STOPPED,)),
    "MiniCPM3 thinks": Output("MiniCPM3", "minicpm", "<|thought_start|>\nHm.\n<|thought_end|>\n<|tool_call_start|>\n```python\nget_weather(city=\"Graz\", days=2)\n```\n<|tool_call_end|>", "Hm.", "", (GRAZ,)),
    "Nemotron-Super": Output("Nemotron-Super", "llama", "<think>\nHm.\n</think>\n\n<TOOLCALL>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}, {\"name\": \"stop\", \"arguments\": {}}]</TOOLCALL>", "Hm.", "", (GRAZ, STOPPED,)),
    "Mistral v0.3": Output("Mistral-v0.3", "mistral", "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}]", "", "", (GRAZ,)),
    "Mistral v0.3 text": Output("Mistral-v0.3", "mistral", " Four.", "", " Four."),
    "SmolLM3": Output("HuggingFaceTB-SmolLM3-3B", "smollm", "<think>\nHm.\n</think>\n" + HERMES_CALL, "Hm.", "", (GRAZ,)),
    "SmolLM3 nofam": Output("HuggingFaceTB-SmolLM3-3B", "", "<think>\nHm.\n</think>\n" + HERMES_CALL, "Hm.", "", (GRAZ,)),
    "Bielik": Output("Bielik-11B-v3.0-Instruct", "bielik", "<think>\nHm.\n</think>\n\n" + HERMES_CALL, "Hm.", "", (GRAZ,)),
    "Apriel 1.5": Output("unsloth-Apriel-1.5", "apriel", "Here are my reasoning steps:\nHm.\n[BEGIN FINAL RESPONSE]\nFour.\n[END FINAL RESPONSE]", "Here are my reasoning steps:\nHm.", "Four."),
    "Apriel 1.5 opened": Output("unsloth-Apriel-1.5", "apriel", "Hm.\n[BEGIN FINAL RESPONSE]\n<tool_calls>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}]</tool_calls>\n[END FINAL RESPONSE]", "Hm.", "", (GRAZ,), "Here are my reasoning steps:\n"),
    "MiniMax-M1": Output("MiniMax-M1", "minimax", "<think>\nHm.\n</think>\n\n<tool_calls>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}\n{\"name\": \"stop\", \"arguments\": {}}\n</tool_calls>", "Hm.", "", (GRAZ, STOPPED,)),
    "MiMo": Output("MiMo-VL", "mimo", "<think>\nHm.\n</think>\nLook.\n" + HERMES_CALL, "Hm.", "Look.", (GRAZ,)),
    "Command R+": Output("CohereForAI-c4ai-command-r-plus-tool_use", "command-r", "Action: ```json\n[\n    {\n        \"tool_name\": \"get_weather\",\n        \"parameters\": {\"city\": \"Graz\", \"days\": 2}\n    }\n]```", "", "", (GRAZ,)),
    "Command R+ plan": Output("CohereForAI-c4ai-command-r-plus-tool_use", "command-r", "Plan: I look.\nAction: ```json\n[\n    {\n        \"tool_name\": \"get_weather\",\n        \"parameters\": {\"city\": \"Graz\", \"days\": 2}\n    },\n    {\"tool_name\": \"stop\", \"parameters\": {}}\n]\n```", "", "Plan: I look.", (GRAZ, STOPPED,)),
    "Cohere2MoE": Output("Cohere2MoE", "command", "<|START_THINKING|>Hm.<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"get_weather\", \"parameters\": {\"city\": \"Graz\", \"days\": 2}}\n]<|END_ACTION|>", "Hm.", "", (GRAZ,)),
    "Cohere2MoE text": Output("Cohere2MoE", "command", "<|START_THINKING|>Hm.<|END_THINKING|><|START_TEXT|>Four.<|END_TEXT|>", "Hm.", "Four."),
    "GigaChat3": Output("GigaChat3-10B-A1.8B", "giga", "<|message_sep|>\n\nfunction call<|role_sep|>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}", "", "", (GRAZ,)),
    "GigaChat3.1": Output("GigaChat3.1-10B-A1.8B", "giga", "<|function_call|>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}", "", "", (GRAZ,)),
    "Step3.5": Output("StepFun3.5-Flash", "step", "Hm.\n</think>\n" + CODER_CALL, "Hm.", "", (GRAZ,), "<think>\n"),
    "Ling3": Output("inclusionai-ling-3.0-flash", "ling", "Hm.</think>" + GLM_CALL, "Hm.", "", (GRAZ,), "<think>"),
    "Reka-Edge": Output("Reka-Edge", "reka", "Hm.\n</think>\n\n" + HERMES_CALL, "Hm.", "", (GRAZ,), "<think>\n"),
    "MiniCPM5": Output("openbmb-MiniCPM5-1B", "minicpm", "<think>\nHm.\n</think>\n\n<function name=\"get_weather\"><param name=\"city\">Graz</param><param name=\"days\">2</param></function>", "Hm.", "", (GRAZ,)),
    "QwQ": Output("Qwen-QwQ-32B", "qwen", "Hm.\n</think>\n\n" + HERMES_CALL, "Hm.", "", (GRAZ,), "<think>\n"),
    "Qwen3 unclosed": Output("Qwen-Qwen3-0.6B", "qwen3", "<think>\nHm.", "Hm."),
    "Qwen3 call in think unclosed": Output("Qwen-Qwen3-0.6B", "qwen3", "<think>\nHm.\n" + HERMES_CALL, "Hm.", "", (GRAZ,)),
    "Qwen3 single quotes": Output("Qwen-Qwen3-0.6B", "qwen3", "<tool_call>\n{'name': 'get_weather', 'arguments': {'city': 'Graz', 'days': 2}}\n</tool_call>", "", "", (GRAZ,)),
    "Qwen3 trailing comma": Output("Qwen-Qwen3-0.6B", "qwen3", "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2,},}\n</tool_call>", "", "", (GRAZ,)),
    "Qwen3 two in one": Output("Qwen-Qwen3-0.6B", "qwen3", "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}\n{\"name\": \"stop\", \"arguments\": {}}\n</tool_call>", "", "", (GRAZ, STOPPED,)),
    "Qwen3 list in one": Output("Qwen-Qwen3-0.6B", "qwen3", "<tool_call>\n[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}, {\"name\": \"stop\", \"arguments\": {}}]\n</tool_call>", "", "", (GRAZ, STOPPED,)),
    "Qwen3 no closing": Output("Qwen-Qwen3-0.6B", "qwen3", "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}", "", "", (GRAZ,)),
    "Qwen3 no closing two": Output("Qwen-Qwen3-0.6B", "qwen3", "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}\n<tool_call>\n{\"name\": \"stop\", \"arguments\": {}}", "", "", (GRAZ, STOPPED,)),
    "Coder two fn": Output("Qwen3-Coder", "qwen3", CODER_CALL + "\n<tool_call>\n<function=stop>\n</function>\n</tool_call>", "", "", (GRAZ, STOPPED,)),
    "Coder no close at end": Output("Qwen3-Coder", "qwen3", "<tool_call>\n<function=get_weather>\n<parameter=city>\nGraz\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>", "", "", (GRAZ,)),
    "Nemo-3 text": Output("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "nemotron", "Hm.\n</think>\n\nFour.", "Hm.", "Four.", (), "<think>\n"),
    "Llama builtin": Output("meta-llama-Llama-3.1-8B-Instruct", "llama", "<|python_tag|>get_weather.call(city=\"Graz\", days=2)", "", "", (GRAZ,)),
    "Llama function tag": Output("meta-llama-Llama-3.1-8B-Instruct", "llama", "<function=get_weather>{\"city\": \"Graz\", \"days\": 2}</function>", "", "", (GRAZ,)),
    "Llama JSON text args": Output("meta-llama-Llama-3.1-8B-Instruct", "llama", "{\"name\": \"get_weather\", \"parameters\": \"{\\\"city\\\": \\\"Graz\\\", \\\"days\\\": 2}\"}", "", "", (GRAZ,)),
    "Llama type nested": Output("meta-llama-Llama-3.1-8B-Instruct", "llama", "{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"parameters\": {\"city\": \"Graz\", \"days\": 2}}}", "", "", (GRAZ,)),
    "Llama fn name": Output("meta-llama-Llama-3.1-8B-Instruct", "llama", "{\"type\": \"function\", \"function\": \"get_weather\", \"parameters\": {\"city\": \"Graz\", \"days\": 2}}", "", "", (GRAZ,)),
    "Devstral ws": Output("unsloth-mistral-Devstral-Small-2507", "mistral", "[TOOL_CALLS]get_weather[ARGS] {\"city\": \"Graz\", \"days\": 2}", "", "", (GRAZ,)),
    "Small old": Output("Mistral-Small-3.2-24B-Instruct-2506", "mistral", "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}]", "", "", (GRAZ,)),
    "gptoss final json": Output("openai-gpt-oss-120b", "gpt-oss", "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{\"a\": 1}<|return|>", "Hm.", "{\"a\": 1}"),
    "gptoss rec in role": Output("openai-gpt-oss-120b", "gpt-oss", "<|start|>assistant to=functions.get_weather<|channel|>commentary <|constrain|>json<|message|>{\"city\": \"Graz\", \"days\": 2}<|call|>", "", "", (GRAZ,)),
    "gptoss analysis call": Output("openai-gpt-oss-120b", "gpt-oss", "<|channel|>analysis to=functions.get_weather code<|message|>{\"city\": \"Graz\", \"days\": 2}<|call|>", "", "", (GRAZ,)),
    "DeepSeek V3.1 think call": Output("deepseek-ai-DeepSeek-V3.1", "deepseek", "Hm.</think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Graz\", \"days\": 2}<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "Hm.", "", (GRAZ,), "<think>"),
    "V4": Output("deepseek-ai-DeepSeek-V4", "deepseek", "Hm.</think>\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">Graz</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" string=\"false\">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>", "Hm.", "", (GRAZ,), "<think>"),
    "Gemma2 hermes": Output("google-gemma-2-2b-it", "gemma", HERMES_CALL, "", "", (GRAZ,)),
    "Gemma2 fenced": Output("google-gemma-2-2b-it", "gemma", "```json\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Graz\", \"days\": 2}}\n```", "", "", (GRAZ,)),
    "Phi3.5": Output("microsoft-Phi-3.5-mini-instruct", "phi", HERMES_CALL, "", "", (GRAZ,)),
    "Qwen3 thinks of a call and answers": Output("Qwen-Qwen3-0.6B", "qwen3", f"<think>\nHm.\n{HERMES_CALL}\n</think>\nFour.", f"Hm.\n{HERMES_CALL}", "Four."),
    "Qwen3 thinks on behind a call": Output("Qwen-Qwen3-0.6B", "qwen3", f"<think>\nHm.\n{HERMES_CALL}\nNo.</think>\n", f"Hm.\n{HERMES_CALL}\nNo."),
    "plain think fam none": Output("plain", "", "<think>\nHm.\n</think>\n\nFour.", "Hm.", "Four."),
    "Kimi-Dev": Output("plain", "kimi", "◁think▷Hm.◁/think▷Four.", "Hm.", "Four."),
}  # fmt: skip
