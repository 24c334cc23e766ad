"""The bill of materials and the licence report, made from the lock and what is installed."""

from __future__ import annotations

import json
from email.message import Message
from pathlib import Path

import pytest

from deploy.sbom import BILL, LOCK, REPORT, UNKNOWN, licence_of, main


def test_the_bill_names_every_locked_package_and_the_programs_inside(tmp_path: Path) -> None:
    main(tmp_path)

    bill = json.loads((tmp_path / BILL).read_text())
    parts = {part["name"]: part for part in bill["components"]}
    locked = {line.split("==")[0] for line in LOCK.read_text().splitlines() if "==" in line[:60]}
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert locked <= set(parts)
    assert parts["postgresql"]["version"].startswith("18.")
    assert int(parts["valkey"]["version"].split(".")[0]) >= 9
    assert parts["django"]["licenses"] == [{"license": {"name": "BSD-3-Clause"}}]
    assert len({part["bom-ref"] for part in parts.values()}) == len(parts)
    assert not {"pytest", "mypy", "hypothesis"} & set(parts)
    assert "| valkey |" in (tmp_path / REPORT).read_text()


@pytest.mark.parametrize(
    ("headers", "licence"),
    [
        ({"License-Expression": "MIT"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: Apache Software License"}, None),
        ({"License": "BSD"}, "BSD"),
        ({"License": "x" * 5000}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)
def test_a_licence_is_what_the_package_states(headers: dict[str, str], licence: str | None) -> None:
    facts = Message()
    for name, value in headers.items():
        facts[name] = value

    assert licence_of(facts) == (licence or "Apache Software License")
