"""What a chat template says that its model can do, found by rendering it in a process of its own.

A template is a program from outside: as in an engine, it runs in the box and within limits of time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from engines.parsing import decode
from engines.runtimes.child.chat_template import ORDINARY, WITH_TOOLS, ChatTemplates
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.main import Job
from engines.runtimes.child.process import ChildProcess
from engines.runtimes.child.start import ChildSpec
from engines.runtimes.notation.derive import derive_notation
from engines.runtimes.notation.probes import NAMES, TOOLS, Probe
from engines.runtimes.text.response_format import Json

HANDLER = "engines.runtimes.child.template_reading:TemplateHandler"
READ_SECONDS = 60.0
MEMORY_BYTES = 512 * 1024 * 1024
KEPT = 64
"""Templates whose abilities are remembered: many entries share one."""
BEGIN, END = "<s>", "</s>"
OTHER_TOOLS = ("xml_tools", "python_tools")
"""Names under which SmolLM3's template takes tools; engines describe them in words, in the notation it was trained on."""


class TemplateAbilities(Struct, frozen=True):
    """What a template shows."""

    tools: bool
    """Whether it describes tools, or writes calls of earlier turns."""
    thinks: bool
    switches: bool
    """Whether the reasoning can be switched off."""


NOTHING = TemplateAbilities(tools=False, thinks=False, switches=False)
"""Of a file without a template."""


class TemplateHandler:
    """The process that renders."""

    def handle(self, job: Job) -> Frame | None:
        """Answer with the abilities of the template that is sent."""
        job.begin()
        given = job.request.header["parameters"]
        told = derive_abilities(str(given["source"]), str(given["with_tools"]))
        return Frame({}, msgspec.json.encode(told))

    def proceed(self) -> bool:
        """Nothing is done by steps."""
        return False


@lru_cache(maxsize=KEPT)
def read_abilities(source: str, with_tools: str = "") -> TemplateAbilities:
    """Return what a template shows, and a second one for messages with tools where there is one.

    Raises EngineError for one that is not valid or does not come to an end.
    """
    if not source:
        return NOTHING
    child = ChildProcess(ChildSpec("template reader", HANDLER, memory_bytes=MEMORY_BYTES))
    try:
        child.wait_ready()
        told = child.request("read", READ_SECONDS, source=source, with_tools=with_tools).payload
        return decode(told, TemplateAbilities)
    finally:
        child.stop()


def derive_abilities(source: str, with_tools: str = "") -> TemplateAbilities:
    """Render a model's templates with probes, in this process; EngineError for one that is not valid."""
    tokens = {"bos_token": BEGIN, "eos_token": END}
    templates = ChatTemplates({ORDINARY: source, WITH_TOOLS: with_tools}, tokens)

    def render(
        messages: Sequence[Any], *, add_generation_prompt: bool, variables: Mapping[str, Any]
    ) -> str:
        given = {**variables, "add_generation_prompt": add_generation_prompt}
        return templates.render(messages, given.pop("tools", None), **given)

    notation = derive_notation(render, templates.source)
    others: Json = {name: [*TOOLS] for name in OTHER_TOOLS}
    listed = Probe(render, templates.source, always=others).render_whole() or ""
    return TemplateAbilities(
        tools=notation.describes_tools or notation.renders_calls or NAMES[0] in listed,
        thinks=notation.reasons,
        switches=notation.switch is not None,
    )
