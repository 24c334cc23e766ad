"""Requests that schemathesis makes from the OpenAPI documents, by five roles, to a server that runs; and bodies of
our own making, by the thousands, to every door of programs.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest

from deploy.demo.models import tiny_models
from tests.attacks.judged import send, what_is_wrong
from tests.attacks.plugin import AttackSize, Tally
from tests.attacks.served import Target
from tests.attacks.world import ROLES, World
from tests.tokens import token_for

pytestmark = [pytest.mark.attack, pytest.mark.timeout(1800)]

DOCUMENTS = {"/api/v1": "/api/schema/?format=json", "/v1": "/api/schema/openai/"}
CHECKS = (
    *("status_code_conformance", "content_type_conformance"),
    *("response_headers_conformance", "response_schema_conformance"),
)
METHODS = "unsupported_method"
"""Not of a stranger, who is not told which methods there are."""
ERRORS_OF_OTHERS = {"502", "503"}
"""A Hub that cannot be reached, an engine that no host has: described, and nothing that broke."""
OPERATIONS_OF_A_PART = 3
ENDS_OWN_TOKEN = "tokens_destroy"
"""The attacker would go on without a token; the walk tries it."""
PART = {("user", "/v1"), ("administrator", "/api/v1")}
SECONDS_OF_A_REQUEST = "30"
"""A stream of events ends with it: there are enough of them to fill half an hour with two minutes each."""
INTERPRETER_FAULT = "AST constructor recursion depth mismatch"
ATTEMPTS = 4
BODIES_OF_A_TEST, BODIES_OF_A_PART = 2_000, 200
TESTS_OF_BODIES = 10
AT_ONCE = 8
ACCESS = re.compile(r'"[A-Z]+ \S+ HTTP/[\d.]+" (\d{3})')


@pytest.fixture(scope="module")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With room for the descriptions of tools."""
    path = tmp_path_factory.mktemp("models") / "tiny-llama.gguf"
    return tiny_models.write_llama_chat(path, context_length=2048)


def statuses_since(log: Path, start: int) -> Counter[str]:
    """How often the web process answered with each status, by its own log."""
    with log.open("rb") as file:
        file.seek(start)
        return Counter(ACCESS.findall(file.read().decode(errors="replace")))


def run_schemathesis(
    document: Path, address: str, token: str, size: AttackSize, folder: Path
) -> dict[str, Any]:
    """Let it try everything; returns its report."""
    report = folder / "report.json"
    phases = "examples,coverage,fuzzing,stateful" if size.is_whole else "coverage,fuzzing"
    command = [
        *(str(Path(sys.executable).parent / "schemathesis"), "run", str(document)),
        *("--url", address, "--phases", phases),
        *("--checks", ",".join([*CHECKS, METHODS] if token else CHECKS)),
        *("--max-examples", str(size.choose(part=1, whole=12)), "--seed", str(size.seed)),
        *("--continue-on-failure", "--no-shrink", "--generation-database", "none"),
        *("--request-timeout", SECONDS_OF_A_REQUEST, "--suppress-health-check", "all"),
        *("--warnings", "off", "--output-sanitize", "false", "--no-color", "--workers", "1"),
        *("--report", "json", "--report-json-path", str(report)),
        *("--exclude-operation-id", ENDS_OWN_TOKEN),
    ]
    if not size.is_whole:
        for path, method in _drawn(json.loads(document.read_text()), size.seed):
            command += ["--include-name", f"{method.upper()} {path}"]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    done = _run(command, folder)
    assert report.exists(), done.stdout[-4000:] + done.stderr[-4000:]
    (folder / "said.txt").write_text(done.stdout)
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the tool, again where the interpreter's own fault (CPython issue 106905) ended it."""
    for _ in range(ATTEMPTS):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        if INTERPRETER_FAULT not in done.stdout:
            break
    return done


def _drawn(document: dict[str, Any], seed: int) -> list[tuple[str, str]]:
    operations = [
        (path, method)
        for path, methods in sorted(document["paths"].items())
        for method, operation in methods.items()
        if operation["operationId"] != ENDS_OWN_TOKEN
    ]
    few = min(OPERATIONS_OF_A_PART, len(operations))
    return Random(seed).sample(operations, few)  # noqa: S311 - repeatable on purpose


def run_of(role: str, prefix: str) -> Any:
    is_part = (role, prefix) in PART
    return pytest.param(role, prefix, marks=[] if is_part else [pytest.mark.slow])


@pytest.mark.parametrize(("role", "prefix"), [run_of(r, p) for r in ROLES for p in DOCUMENTS])
def test_no_request_made_from_the_description_finds_an_error_of_ours(
    role: str,
    prefix: str,
    target: Target,
    attacked: World,
    attack_size: AttackSize,
    tally: Tally,
    tmp_path: Path,
) -> None:
    person = attacked.person(role)
    token = token_for(person) if person else ""
    document = tmp_path / "openapi.json"
    with target.web.client(token) as client:
        document.write_bytes(client.get(f"{target.web.address}{DOCUMENTS[prefix]}").content)
    before, start = target.require_idle(), target.web.log.stat().st_size

    run_schemathesis(document, target.web.address, token, attack_size, tmp_path)

    statuses = statuses_since(target.web.log, start)
    tally.add(f"requests made from {prefix}'s description", sum(statuses.values()))
    assert not [status for status in statuses if status >= "500" and status not in ERRORS_OF_OTHERS]
    if person:
        with target.web.client(token) as client:
            assert client.get(f"{target.web.address}/api/v1/me").status_code == 200
    target.require_nothing_left(before)
    target.require_alive()


@pytest.mark.parametrize(
    "number",
    [pytest.param(n, marks=[pytest.mark.slow] if n else []) for n in range(TESTS_OF_BODIES)],
)
def test_no_generated_body_makes_an_error_of_ours(
    number: int, target: Target, attacked: World, attack_size: AttackSize, tally: Tally
) -> None:
    before = target.require_idle()
    count = attack_size.choose(part=BODIES_OF_A_PART, whole=BODIES_OF_A_TEST)
    first = attack_size.seed + number * BODIES_OF_A_TEST
    seeds = [attack_size.only] if attack_size.only is not None else range(first, first + count)
    broken: dict[int, str] = {}
    statuses: Counter[int] = Counter()
    with (
        target.web.client(token_for(attacked.people.alice)) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        client.base_url = httpx2.URL(target.web.address)
        for sent in pool.map(lambda seed: send(client, seed), seeds):
            statuses[sent.status] += 1
            if wrong := what_is_wrong(sent):
                broken[sent.seed] = f"{sent.door.path} {sent.status} {wrong}: {sent.text[:300]}"

    for status, times in sorted(statuses.items()):
        tally.add(f"generated bodies answered with {status}", times)
    assert broken == {}, f"try one again with --mutant SEED: {list(broken.items())[:20]}"
    assert len(seeds) == 1 or statuses[200] > count // 20, "hardly a body is valid"
    target.require_nothing_left(before)
    target.require_alive()
    with target.web.client(token_for(attacked.people.bob)) as client:
        assert client.post("embeddings", json={"model": "sam", "input": "Hi."}).status_code == 200
