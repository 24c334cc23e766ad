"""``sam generate``, ``stream``, ``embed``, ``fit``, ``recommend`` and ``race``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from samproject.cli.errors import CommandError
from samproject.cli.session import Session, command
from samproject.cli.trying.options import (
    CONTEXT,
    CacheType,
    Context,
    Device,
    Domain,
    Family,
    Folder,
    Host,
    MaxTokens,
    Model,
    ModelWish,
    Parallel,
    Prompt,
    Seed,
    Server,
    Size,
    Temperature,
    Threads,
    Type,
    loaded,
    text_of,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the top level."""
    command(app, "generate", acts_as_person=False)(generate)
    command(app, "stream", acts_as_person=False)(stream)
    command(app, "embed", acts_as_person=False)(embed)
    command(app, "fit", acts_as_person=False)(judge_fit)
    command(app, "recommend", acts_as_person=False)(recommend_models)
    command(app, "race", acts_as_person=False)(race_runtimes)


def generate(  # noqa: PLR0913 - a parameter is an option
    session: Session,
    prompt: Prompt,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    seed: Seed = None,
    model: Model = "",
    type_: Type = "gguf",
    size: Size = "",
    domain: Domain = "general",
    folder: Folder = "",
    server: Server = "",
    family: Family = "",
    device: Device = "auto",
    context: Context = CONTEXT,
    threads: Threads = 0,
) -> None:
    """Ask a model of this machine or of a server; the answer comes when it is whole."""
    wish = ModelWish(model, type_, size, domain, folder, server, family, device, context, threads)
    given = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
    with loaded("models") as models, models.manager_of(wish) as manager:
        text = manager.generate_response(text_of(prompt), **models.only_given(given))
    session.show({"text": text}, text or " ")


def stream(  # noqa: PLR0913 - a parameter is an option
    session: Session,
    prompt: Prompt,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    seed: Seed = None,
    model: Model = "",
    type_: Type = "gguf",
    size: Size = "",
    domain: Domain = "general",
    folder: Folder = "",
    server: Server = "",
    family: Family = "",
    device: Device = "auto",
    context: Context = CONTEXT,
    threads: Threads = 0,
) -> None:
    """Ask a model of this machine or of a server; the answer is written while it comes.

    With --json each piece is a line of its own.
    """
    wish = ModelWish(model, type_, size, domain, folder, server, family, device, context, threads)
    given = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
    with loaded("models") as models, models.manager_of(wish) as manager:
        for piece in manager.generate_stream(text_of(prompt), **models.only_given(given)):
            session.write_piece(piece)
    session.say("")


def embed(  # noqa: PLR0913 - a parameter is an option
    session: Session,
    texts: Annotated[list[str], typer.Argument(help="- reads one text from the standard input.")],
    embedder: Annotated[str, typer.Option(help="A file or name that only embeds.")] = "",
    model: Model = "",
    type_: Type = "gguf",
    size: Size = "",
    domain: Domain = "general",
    folder: Folder = "",
    server: Server = "",
    family: Family = "",
    device: Device = "auto",
    context: Context = CONTEXT,
    threads: Threads = 0,
) -> None:
    """Write the vector of each text as one line of JSON; with --json all of them as one list."""
    wish = ModelWish(model, type_, size, domain, folder, server, family, device, context, threads)
    with loaded("models") as models, models.manager_of(wish, embedder) as manager:
        found = manager.generate_batch_embeddings([text_of(text) for text in texts])
    vectors = [[round(number, 7) for number in vector] for vector in found]
    session.show(vectors, "\n".join(json.dumps(vector) for vector in vectors))


def judge_fit(  # noqa: PLR0913 - a parameter is an option
    session: Session,
    model: Annotated[
        str,
        typer.Argument(
            help="A GGUF file, hf:owner/name/file.gguf or an address at the Hub, a size of Qwen 3, or an "
            "entry of the catalog."
        ),
    ],
    revision: Annotated[
        str,
        typer.Option(help="Of a file at the Hub; what its address says, or main, unless given."),
    ] = "",
    context: Context = CONTEXT,
    parallel: Parallel = 1,
    cache_type: CacheType = "f16",
    host: Host = None,
) -> None:
    """Say whether a model runs here before a byte of its weights is fetched; exit code 1 when not."""
    with loaded("judging") as judging:
        load = judging.load_of(context, parallel, cache_type)
        found = judging.judge(model, revision, load, host)
    session.say(found.placement.reason)
    session.table(["for", "GiB"], found.needs(), found.as_dict())
    for sentence in found.remarks():
        session.say(sentence)
    if not found.placement.fits:
        raise CommandError("The model does not fit.")


def recommend_models(  # noqa: PLR0913 - a parameter is an option
    session: Session,
    catalog: Annotated[bool, typer.Option("--catalog", help="Judge the catalog's models.")] = False,
    tiers: Annotated[bool, typer.Option("--tiers", help="Show what usual machines run.")] = False,
    context: Context = CONTEXT,
    parallel: Parallel = 1,
    cache_type: CacheType = "f16",
    host: Host = None,
) -> None:
    """Name the models this machine should run: of the Qwen 3 family, or of the catalog."""
    with loaded("judging") as judging:
        if tiers:
            rows = judging.tiers()
            session.table(["machine", "models"], rows, dict(rows))
            return
        load = judging.load_of(context, parallel, cache_type)
        found = judging.recommend_for(host, load, catalog=catalog)
    for name in found.unread:
        typer.echo(f"{name}: its file could not be read at the Hub.", err=True)
    session.say(found.about_machine())
    columns = ["model", "recommended", "longest context", "why"]
    session.table(columns, found.rows(), found.as_dict())


def race_runtimes(
    session: Session,
    model: Annotated[
        str, typer.Argument(help="A GGUF file, or an entry of the catalog that this host has.")
    ],
    streams: Annotated[
        list[int] | None,
        typer.Option(min=1, max=64, help="Answers at once; repeat it. Else 1, 4 and 16."),
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Of each answer.")] = 128,
    threads: Threads = 0,
) -> None:
    """Measure which runtime answers fastest with a model here: llama_cpp, or the host's llama-server."""
    with loaded("racing") as racing:
        found = racing.race(model, streams or [1, 4, 16], tokens, threads)
    columns = ["runtime", "at once", "tokens/s", "first token ms"]
    session.table(columns, found.rows(), found.as_dict())
    for sentence in (*found.winners(), *found.problems.values()):
        session.say(sentence)
