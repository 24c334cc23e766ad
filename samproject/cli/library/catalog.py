"""``sam catalog`` and ``sam download``: the models there are, and their files on hosts."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from engines.runtime_names import BUILT_IN
from samproject.cli.client import name_in_path
from samproject.cli.completion import complete_models, complete_runtimes
from samproject.cli.errors import CommandError
from samproject.cli.files import read_json
from samproject.cli.library.adding import add_from_disk, is_on_disk, list_hub_models
from samproject.cli.planning.waiting import follow_plan
from samproject.cli.session import Session, command, make_group
from samproject.cli.shown import show_size

catalog = make_group("The model catalog.")
download = make_group("Downloads of models to hosts.")

Model = Annotated[
    str, typer.Argument(help="Its id in the catalog.", autocompletion=complete_models)
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Write over what curators set; without it, it is left.")
]
Confirm = Annotated[
    bool, typer.Option("--confirm", help="Also write what moves the vectors of people.")
]
Place = Annotated[
    str,
    typer.Argument(
        help="What programs call it; or a GGUF file or its folder on this machine; or a repository "
        "of the Hub, owner/name, to list its models."
    ),
]
Revision = Annotated[str | None, typer.Option("--revision", help="main unless given.")]
QueryPrefix = Annotated[
    str | None, typer.Option(help=r"Put before every question; \n is a line break, \t a tab.")
]
DocumentPrefix = Annotated[
    str | None, typer.Option(help=r"Put before every passage; \n is a line break, \t a tab.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Show the progress to the end.")]
_RUNTIMES = f"llama_cpp unless given; also {', '.join(list(BUILT_IN)[1:])}, or an installed plugin."
_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\\\": "\\"}
_ESCAPE = re.compile(r"\\[nt\\]")


@command(catalog, "list")
def list_models(session: Session) -> None:
    """Show every entry that you may see."""
    models = session.api.rows("/catalog")
    session.table(
        ["model", "family", "role", "size", "published"],
        [
            (
                model["model_id"],
                model["model_family"],
                model["role"],
                show_size(model["file_size"]) if model["file_size"] else "?",
                "yes" if model["published"] else "no",
            )
            for model in models
        ],
        models,
    )


@command(catalog, "show")
def show_model(session: Session, model: Model) -> None:
    """Show one entry with all its fields, as JSON."""
    session.show(session.api.get(f"/catalog/{name_in_path(model)}"))


@command(catalog, "import")
def import_catalog(
    session: Session,
    file: Annotated[Path, typer.Argument(help="JSON in the seed's format.")],
    overwrite: Overwrite = False,
    confirm: Confirm = False,
) -> None:
    """Write the entries of a JSON file; a bad one is reported and changes nothing."""
    document = read_json(file)
    if "models" not in document:
        raise CommandError(f'{file} holds no catalog: it begins with an object with "models".')
    asked = {"models": document["models"], "overwrite": overwrite, "confirm": confirm}
    _report(session, session.api.post("/catalog-file", asked))


@command(catalog)
def starter(session: Session, overwrite: Overwrite = False, confirm: Confirm = False) -> None:
    """Write the starter catalog that SAM ships."""
    asked = {"overwrite": overwrite, "confirm": confirm}
    _report(session, session.api.post("/catalog-file", asked))


@command(catalog, "export")
def export_catalog(
    session: Session,
    file: Annotated[Path | None, typer.Argument(help="The output unless given.")] = None,
) -> None:
    """Write the catalog as JSON."""
    document = session.api.get("/catalog-file")
    if file is None:
        session.show(document)
        return
    try:
        file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}.") from error
    session.show(document if session.as_json else None, f"Written to {file}.")


@command(catalog)
def add(  # noqa: PLR0913 - a parameter is an option
    session: Session,
    model_id: Place,
    display_name: Annotated[str | None, typer.Option("--name", help="What people read.")] = None,
    model_family: Annotated[str | None, typer.Option("--family", help="Such as qwen.")] = None,
    huggingface_repo: Annotated[
        str | None, typer.Option("--repo", help="organisation/repository on the Hub")
    ] = None,
    filename: Annotated[str | None, typer.Option("--file", help="The GGUF file in it.")] = None,
    runtime: Annotated[
        str | None, typer.Option(help=_RUNTIMES, autocompletion=complete_runtimes)
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="Of a server that runs the model.")] = None,
    remote_name: Annotated[str | None, typer.Option(help="What that server calls it.")] = None,
    context_length: Annotated[int | None, typer.Option(help="Tokens; 0: not known.")] = None,
    role: Annotated[str | None, typer.Option(help="chat or embedding")] = None,
    embedding_model: Annotated[
        str | None, typer.Option(help="The companion that embeds for it.")
    ] = None,
    wanted_revision: Revision = None,
    query_prefix: QueryPrefix = None,
    document_prefix: DocumentPrefix = None,
    fields: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Any other field of `sam catalog show`, like sha256; repeatable.",
        ),
    ] = None,
    confirm: Confirm = False,
) -> None:
    """Add one entry, or change the named fields of one that is there."""
    named = {
        "display_name": display_name,
        "model_family": model_family,
        "huggingface_repo": huggingface_repo,
        "filename": filename,
        "runtime": runtime,
        "endpoint": endpoint,
        "remote_name": remote_name,
        "context_length": context_length,
        "role": role,
        "embedding_model": embedding_model,
        "wanted_revision": wanted_revision,
        "query_prefix": _unescape(query_prefix),
        "document_prefix": _unescape(document_prefix),
    }
    given = {name: value for name, value in named.items() if value is not None}
    _add(session, model_id, {**given, **dict(map(_field, fields or ()))}, confirm=confirm)


@command(catalog, "try")
def try_model(
    session: Session,
    model: Model,
    question: Annotated[str, typer.Argument(help="What it is asked.")],
    host: Annotated[
        str | None, typer.Option(help="The first that has its file unless given.")
    ] = None,
) -> None:
    """Ask an entry a question on a host before it is offered, and see how fast it answers."""
    body = {"question": question} if host is None else {"question": question, "host": host}
    trial = session.api.post(f"/catalog/{name_in_path(model)}/try", body)
    lost = ", ".join(trial["losses"])
    session.show(
        trial,
        (f"Its chat template loses {lost}: nobody can move to it as it is.\n\n" if lost else "")
        + f"{trial['text']}\n\n{trial['engine_id']} ({trial['runtime']}) on {trial['host']}: "
        f"{trial['completion_tokens']} tokens in {trial['answer_seconds']} s, "
        f"{trial['tokens_per_second']} a second; loaded in {trial['load_seconds']} s.",
    )


@command(catalog)
def delete(session: Session, model: Model) -> None:
    """Delete an entry that nothing stands on."""
    session.api.delete(f"/catalog/{name_in_path(model)}")
    session.say(f"{model} is deleted.")


@command(download)
def start(
    session: Session,
    model: Model,
    host: Annotated[
        str | None, typer.Option(help="Any active host with room unless given.")
    ] = None,
    wait: Wait = False,
) -> None:
    """Start a download; one that runs already is followed instead."""
    body = {"model_id": model} if host is None else {"model_id": model, "host": host}
    plan = session.api.post("/downloads", body)
    if not wait:
        session.show(plan, f"Download of {model} to {plan['host']}: plan {plan['id']}.")
        return
    session.say(f"Download of {model} to {plan['host']}: plan {plan['id']}.")
    session.show(follow_plan(session, plan["id"]), "Downloaded and verified.")


@command(download)
def status(session: Session, model: Model) -> None:
    """Say whether a model is downloaded, and how far a download is."""
    found = session.api.get(f"/catalog/{name_in_path(model)}/status")
    progress = found["progress"]
    paused = ", paused" if progress and progress["status"] == "paused" else ""
    how_far = (
        f"\n{progress['progress_percentage']} % on {progress['host']}{paused}" if progress else ""
    )
    session.show(found, f"{found['status']}{how_far}")


@command(download)
def pause(session: Session, model: Model) -> None:
    """Pause a model's downloads on every host; what has arrived stays there."""
    _act(session, model, "pause-download", "Paused.")


@command(download)
def resume(session: Session, model: Model) -> None:
    """Have a model's paused downloads go on."""
    _act(session, model, "resume-download", "It goes on from what has arrived.")


@command(download)
def cancel(session: Session, model: Model) -> None:
    """Cancel a model's open downloads on every host."""
    _act(session, model, "cancel-download", "Cancelling.")


@command(download)
def verify(session: Session, model: Model) -> None:
    """Hash every host's copy again."""
    _act(session, model, "verify", "Verifying.")


@command(download, "delete")
def delete_files(session: Session, model: Model) -> None:
    """Delete every host's copy that nobody needs."""
    _act(session, model, "delete-files", "Deleting.")


@command(download, "clear-unsafe")
def clear_unsafe(
    session: Session,
    model: Model,
    host: Annotated[str | None, typer.Option(help="Every host unless given.")] = None,
) -> None:
    """Let copies that crashed an engine be used again."""
    body = {} if host is None else {"host": host}
    answer = session.api.post(f"/catalog/{name_in_path(model)}/clear-unsafe", body)
    session.show(answer, "Cleared.")


def _act(session: Session, model: str, what: str, sentence: str) -> None:
    session.show(session.api.post(f"/catalog/{name_in_path(model)}/{what}"), sentence)


def _unescape(text: str | None) -> str | None:
    """Read line breaks, tabs and backslashes as people write them in one line."""
    if text is None:
        return None
    return _ESCAPE.sub(lambda found: _ESCAPES[found[0]], text)


def _escape(text: str) -> str:
    """Write a prefix so that ``_unescape`` reads it, quoted for a shell."""
    written = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    return shlex.quote(written)


def _field(text: str) -> tuple[str, Any]:
    """Read ``name=value``; what is JSON (numbers, true, lists) is taken as such."""
    name, equals, value = text.partition("=")
    if not equals:
        raise CommandError(f"{text!r} is no field; write it like display_name=Gemma.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _report(session: Session, report: dict[str, Any]) -> None:
    if session.as_json:
        session.show(report)
    for name in report["created"]:
        session.say(f"{name}: created.")
    for name, fields in report["updated"].items():
        session.say(f"{name}: updated ({fields}).")
    for name, why in report["left"].items():
        session.say(f"{name}: {why}")
    for name, why in report["refused"].items():
        typer.echo(f"{name}: {why}", file=sys.stderr)
    if report["prompts"]:
        session.say(f"Prompts written for {', '.join(report['prompts'])}.")
    _propose(session, report)
    session.say(
        f"{len(report['created'])} entries created, {len(report['updated'])} updated, "
        f"{len(report['unchanged'])} unchanged, {len(report['left'])} left as curated."
    )
    if report["refused"]:
        raise CommandError(f"{len(report['refused'])} entries were refused; they changed nothing.")


def _propose(session: Session, report: dict[str, Any]) -> None:
    """Say how to take what publishers ask for, where an entry has other instructions."""
    for name, asked in report["instructions"].items():
        session.say(
            f"{name}: the card of {asked['card']} asks for other instructions. To take them: "
            f"sam catalog add {name} --query-prefix {_escape(asked['query_prefix'])} "
            f"--document-prefix {_escape(asked['document_prefix'])}"
        )


def _add(session: Session, place: str, given: dict[str, Any], *, confirm: bool) -> None:
    if is_on_disk(place):
        _report(session, add_from_disk(session, Path(place), given))
    elif "/" in place and not given:
        list_hub_models(session, place)
    elif "/" in place:
        raise CommandError(
            f"{place} is a repository, and an entry has an id of its own: `sam catalog add {place}` shows the "
            "command that takes a model of it."
        )
    else:
        asked = {"models": [{"model_id": place, **given}], "overwrite": True, "confirm": confirm}
        _report(session, session.api.post("/catalog-file", asked))
