"""`sam chat`, over HTTP and beside the database; answers come from a host that the test plays."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from redis import Redis

from engines.exceptions import EngineError
from engines.models import Conversation, EnginePreference, Host, Message, ModelRevision
from engines.services.answers.messages import BeginEvent, EndEvent, TextEvent
from engines.services.people.usage import set_quota
from migrations_app.serving.protocol import LIVE_KINDS, BeatEvent, ErrorEvent
from migrations_app.serving.streams.entries import StreamBrokenError
from tests.commands.elsewhere import PATIENCE, Machine
from tests.conversations.played_stream import Play, played_streams
from tests.openai_api.web import WebProcess
from tests.redis_admin import admin_redis
from tests.tokens import token_for
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host
from tests.worker.processes import WORK, WorkerProcess, wait_until
from worker.live.stream_writer import TokenWriter

pytestmark = pytest.mark.django_db(transaction=True)

END = EndEvent(finish_reason="stop", prompt_tokens=7, completion_tokens=2, reused_tokens=1)


class Talker(NamedTuple):
    user: User
    revision: ModelRevision
    redis: Redis
    machine: Machine
    me: tuple[str, ...]
    """How the person is named on this machine."""

    def sam(self, *arguments: str, answers: str = "") -> CompletedProcess[str]:
        """Run a command as this person; the played host is alive, however slow the machine is."""
        Host.objects.update(last_seen=timezone.now())
        return self.machine.sam(*arguments, *self.me, answers=answers)

    def kept(self) -> list[tuple[str, str, str]]:
        rows = Message.objects.filter(conversation__user=self.user).order_by("position")
        return [(row.role, row.content, row.status) for row in rows]


@pytest.fixture(params=["remote", "local"])
def talker(
    request: pytest.FixtureRequest, transactional_db: None, tmp_path: Path, tiny_llama: Path
) -> Iterator[Talker]:
    admin_redis().flushall()
    host = make_host("played", announces=[f"live.{kind}" for kind in LIVE_KINDS])
    revision = make_revision(tiny_llama, host, "old")
    user = User.objects.create_user("ada")
    EnginePreference.objects.create(user=user, engine=revision.model, revision=revision)
    environment = WorkerProcess(tmp_path, WORK)._environment()
    with admin_redis() as redis:
        if request.param == "local":
            machine = Machine(tmp_path, environment | {"XDG_CONFIG_HOME": str(tmp_path)})
            yield Talker(user, revision, redis, machine, ("--user", "ada"))
            return
        with WebProcess(tmp_path, environment) as web:
            login = {"SAM_SERVER": web.address, "SAM_TOKEN": token_for(user)}
            yield Talker(user, revision, redis, Machine(tmp_path, login), ())


def begin(talker: Talker) -> BeginEvent:
    return BeginEvent(engine_id=talker.revision.model.model_id, revision_id=talker.revision.pk)


def say_hello(talker: Talker) -> Play:
    def play(_asked: dict[str, Any], writer: TokenWriter) -> None:
        for event in (begin(talker), TextEvent("Hel\x1b[2J"), TextEvent("lo."), END):
            writer.write(event)

    return play


def talk_until_nobody_listens(talker: Talker) -> Play:
    def play(_asked: dict[str, Any], writer: TokenWriter) -> None:
        for event in (begin(talker), TextEvent("The beginning")):
            writer.write(event)
        while not writer.abandoned.wait(0.3):
            writer.write(BeatEvent())

    return play


def test_a_question_is_answered_and_the_conversation_goes_on(talker: Talker) -> None:
    with played_streams(talker.redis, say_hello(talker)) as asked:
        first = talker.sam("chat", "Who are you?")
        number = str(Conversation.objects.get().pk)
        again = talker.sam("chat", "And now?", "--conversation", number, "--json")
        several = talker.sam("chat", "--conversation", number, answers="One\n\nTwo\n")

    assert (first.returncode, first.stdout) == (0, "Hel[2Jlo.\n"), first.stderr
    assert first.stderr.splitlines() == ["old:", f"Go on with: sam chat --conversation {number}"]
    told = json.loads(again.stdout)
    assert (told["conversation"], told["answer"]["engine"]) == (int(number), "old")
    assert told["message"]["content"] == "And now?"
    assert several.stdout == "Hel[2Jlo.\n" * 2, several.stderr
    assert [len(each["messages"]) for each in asked] == [1, 3, 5, 7]
    assert len(talker.kept()) == 8


def test_ctrl_c_stops_the_answer_and_keeps_the_part(talker: Talker) -> None:
    with played_streams(talker.redis, talk_until_nobody_listens(talker)):
        running = talker.machine.start("chat", "Talk.", *talker.me)
        assert running.stdout is not None
        assert running.stdout.read(len("The beginning")) == "The beginning"
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=PATIENCE)
        wait_until(lambda: len(talker.kept()) == 2, "the part that was written")

    assert running.returncode == 130
    assert "Stopped; what was written is kept." in told
    assert "Traceback" not in told
    assert talker.kept()[1] == ("assistant", "The beginning", "stopped")


@pytest.mark.parametrize("talker", ["local"], indirect=True)
def test_ctrl_c_on_a_terminal_leads_back_to_the_prompt(talker: Talker) -> None:
    with (
        played_streams(talker.redis, talk_until_nobody_listens(talker)),
        talker.machine.terminal("chat", *talker.me) as terminal,
    ):
        terminal.read_to("> ")
        terminal.type("Talk.\n")
        terminal.read_to("The beginning")
        terminal.type("\x03")
        terminal.read_to("Stopped; what was written is kept.")
        # It is kept before the word is said.
        kept = talker.kept()
        terminal.read_to("> ")
        terminal.press_ctrl_c_at_the_prompt()
        terminal.read_to("Go on with: sam chat --conversation")
        code = terminal.process.wait(PATIENCE)

    assert code == 0
    assert kept[1] == ("assistant", "The beginning", "stopped")


def test_an_answer_that_breaks_off_is_a_sentence(talker: Talker) -> None:
    def play(_asked: dict[str, Any], writer: TokenWriter) -> None:
        error = ErrorEvent.of(EngineError("The engine's process ended; ask again."))
        for event in (begin(talker), TextEvent("Half"), error):
            writer.write(event)

    with played_streams(talker.redis, play):
        broken = talker.sam("chat", "Talk.")

    assert (broken.returncode, broken.stdout) == (1, "Half\n")
    assert "The engine's process ended; ask again." in broken.stderr
    assert talker.kept()[1] == ("assistant", "Half", "broken")


def test_what_is_waited_for_fills_no_terminal(talker: Talker) -> None:
    waited: list[str] = []

    def play(asked: dict[str, Any], writer: TokenWriter) -> None:
        if not waited:
            waited.append("once")
            writer.write(ErrorEvent.of(StreamBrokenError("Another host is looked for.")))
            return
        say_hello(talker)(asked, writer)

    with played_streams(talker.redis, play):
        said = talker.sam("chat", "Who are you?")

    assert waited
    assert said.returncode == 0, said.stderr
    assert "looked for" not in said.stderr


def test_a_refusal_in_the_middle_takes_nothing_back(talker: Talker) -> None:
    with played_streams(talker.redis, say_hello(talker)):
        said = talker.sam("chat", answers=f"Who are you?\n{'x' * 100_001}\n")

    assert (said.returncode, said.stdout) == (0, "Hel[2Jlo.\n"), said.stderr
    assert "100000" in said.stderr
    assert [content for _, content, _ in talker.kept()] == ["Who are you?", "Hel\x1b[2Jlo."]


def test_what_is_refused_leaves_no_empty_conversation(talker: Talker) -> None:
    set_quota(talker.user, 0)

    refused = talker.sam("chat", "Who are you?")
    unknown = talker.sam("chat", "Hi", "--conversation", "999")
    no_question = talker.sam("chat", "--json")
    usage = talker.sam("chat", "Hi", "--max-tokens", "no")

    codes = [each.returncode for each in (refused, unknown, no_question, usage)]
    assert codes == [1, 1, 1, 2], refused.stderr
    assert "Traceback" not in refused.stderr + unknown.stderr
    assert "WARNING" not in refused.stderr + unknown.stderr
    assert not Conversation.objects.exists()
