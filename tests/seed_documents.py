"""What the five specifications name: read out of their code blocks and quoted words."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "seeds"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#+ (?:[^\w\n]*)(?:\d+\. )?(.+)$", re.MULTILINE)
SCRIPT = re.compile(r"python (\S+\.py)")
JSON_KEY = re.compile(r'^ +"(\w+)":', re.MULTILINE)
BOX_NAME = re.compile(r"- (\w+)\(\)|\b([A-Z][a-z]+(?:[A-Z][a-z]+)+)\b")
STATUSES = re.compile(r'Returns: ("\w+"(?:, "\w+")+)')


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced piece of a document."""

    document: str
    language: str
    heading: str
    text: str


@cache
def documents() -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}


@cache
def blocks() -> list[Block]:
    found = []
    for name, text in documents().items():
        for fence in FENCE.finditer(text):
            headings = HEADING.findall(FENCE.sub("", text[: fence.start()]))
            found.append(Block(name, fence[1], headings[-1], fence[2]))
    return found


def example(document: str, heading: str) -> str:
    """Return the one Python block below a heading."""
    (block,) = [
        block
        for block in blocks()
        if (block.document, block.heading, block.language) == (document, heading, "python")
    ]
    return block.text


@cache
def names() -> frozenset[str]:
    """Every class, method, function, value, field, module, option and key that they name."""
    found: set[str] = set()
    for block in blocks():
        if block.language == "python":
            found |= set(_named_in(parsed(block.text)))
        elif block.language == "json":
            found |= {key for key in JSON_KEY.findall(block.text) if "-" not in key}
        elif block.language == "bash":
            found |= set(SCRIPT.findall(block.text))
        else:
            found |= {method or name for method, name in BOX_NAME.findall(block.text)}
    for text in documents().values():
        for quoted in QUOTED.findall(FENCE.sub("", text)):
            found |= set(_plain(quoted))
    return frozenset(found)


def parsed(text: str) -> ast.Module:
    """Parse a block; the signatures without a body get one."""
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.parse(text.rstrip() + ": ...\n")


def _plain(quoted: str) -> Iterator[str]:
    """A quoted word as the page writes it: without brackets, a module by its dotted name."""
    name = quoted.removesuffix("()").strip()
    if re.fullmatch(r"(sam|src)(\.\w+)+", name):
        module, _, last = name.rpartition(".")
        yield from (module, last) if last[0].isupper() else (name,)
    elif re.fullmatch(r"(sam)/[\w/]+\.py", name):
        yield name.removesuffix(".py").replace("/", ".")
    else:
        yield name


def _named_in(tree: ast.Module) -> Iterator[str]:
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    own = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    for node in ast.walk(tree):
        for kind, read in READERS.items():
            if isinstance(node, kind):
                yield from set(read(node)) - (own if kind is ast.Name else set())


def _of_import(node: ast.ImportFrom) -> Iterator[str]:
    yield node.module or ""
    yield from (alias.name for alias in node.names)


def _of_function(node: ast.FunctionDef) -> Iterator[str]:
    """A function, its arguments, and the values that its docstring promises."""
    yield node.name
    yield from (each.arg for each in node.args.args if each.arg != "self")
    yield from re.findall(r'"(\w+)"', "".join(STATUSES.findall(ast.get_docstring(node) or "")))


def _of_call(node: ast.Call) -> Iterator[str]:
    """The arguments that a call names, and the key of ``config.get('key')``."""
    if not (isinstance(node.func, ast.Name) and hasattr(builtins, node.func.id)):
        yield from (word.arg for word in node.keywords if word.arg)
    if isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        yield from _words(node.args[:1])


def _of_name(node: ast.Name) -> Iterator[str]:
    known = node.id == "self" or hasattr(builtins, node.id)
    if isinstance(node.ctx, ast.Load) and not known:
        yield node.id


def _of_declaration(node: ast.AnnAssign) -> Iterator[str]:
    if isinstance(node.target, ast.Name):
        yield node.target.id


def _of_class(node: ast.ClassDef) -> Iterator[str]:
    """A class and its members; an example's methods are those of its base."""
    yield node.name
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    owner = bases[0] if bases and bases[0].startswith("Base") else node.name
    for member in node.body:
        if isinstance(member, ast.FunctionDef):
            yield f"{owner}.{member.name}"
        elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            yield f"{owner}.{member.target.id}"
        elif isinstance(member, ast.Assign) and isinstance(member.targets[0], ast.Name):
            yield f"{owner}.{member.targets[0].id}"


def _words(nodes: Iterable[ast.expr | None]) -> Iterator[str]:
    """The strings among them that could be names."""
    for node in nodes:
        if isinstance(node, ast.Constant) and str(node.value).isidentifier():
            yield str(node.value)


READERS: dict[type[ast.AST], Callable[[Any], Iterable[str]]] = {
    ast.ClassDef: _of_class,
    ast.ImportFrom: _of_import,
    ast.FunctionDef: _of_function,
    ast.Call: _of_call,
    ast.Attribute: lambda node: [node.attr],
    ast.Dict: lambda node: _words(node.keys),
    ast.Subscript: lambda node: _words([node.slice]),
    ast.Compare: lambda node: _words([node.left, *node.comparators]),
    ast.AnnAssign: _of_declaration,
    ast.Name: _of_name,
}
