"""An engine's child that ends as native code does."""

from __future__ import annotations

import os
from typing import NoReturn

from engines.runtimes.llama_cpp.child import LlamaHandler


class AbortingHandler(LlamaHandler):
    """Aborts where OpenVINO would compile."""

    def _openvino_maker(self, *_given: object) -> NoReturn:
        os.abort()
