"""The examples in the docs of the API, one after another, as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable

import pytest

from .server_process import ROOT, ServerProcess
from .tokens import SECRET, token
from .waiting import PATIENCE

README = (ROOT / "README.md").read_text("utf-8")
HTTP_API = (ROOT / "docs" / "http-api.md").read_text("utf-8")

SECURITY = (ROOT / "docs" / "security.md").read_text("utf-8")

#: What goes on until it is stopped, or asks for an id of the day the docs were written.
NOT_RUN = ("curl -N ", "?since=")

#: What stands for a token, and so asks for a server that takes them.
TOKEN = "$TOKEN"


def examples(doc: str = HTTP_API) -> list[tuple[str, str]]:
    """Each command of a `doc` that asks a server, and the answer that it shows, which may be
    empty."""
    found = []
    for block in re.findall(r"(?:^    .*\n)+", doc, re.M):
        command, answer = "", ""
        goes_on = False
        for line in (indented[4:] for indented in block.splitlines()):
            if goes_on:
                command += f"\n{line}"
            elif re.match(r"curl |printf ", line):
                if command:
                    found.append((command, answer))
                command, answer = line, ""
            elif re.match(r"[A-Z]+=|export |python |tornado-board ", line):
                if command:
                    found.append((command, answer))
                command, answer = "", ""  # another program's
            elif command:
                answer += f"{line}\n"
            goes_on = line.endswith(("\\", "|"))
        if command:
            found.append((command, answer))
    return found


def pattern(answer: str) -> str:
    """What an answer has to look like: ``...`` is anything, event ids and times are of the day, and
    each ticket is another."""
    text = re.escape(answer).replace(re.escape("..."), ".*")
    text = re.sub(r'"ticket":"\w+"', r'"ticket":"[\\w-]+"', text)
    text = re.sub(r'"id":"\d{16}","at":\d{13}', r'"id":"\\d{16}","at":\\d{13}', text)
    return re.sub(r"\d{13}\\-\d+", r"\\d+-\\d+", text)


def run(commands: str, server: ServerProcess) -> str:
    """What `commands`, which talk to localhost:8888, print when they talk to `server`."""
    script = 'curl() { command curl -sS "$@"; }\n'
    script += commands.replace("localhost:8888", f"127.0.0.1:{server.port}")
    done = subprocess.run(["sh", "-ec", script], capture_output=True, timeout=PATIENCE, check=True)
    return done.stdout.decode().replace("\r\n", "\n")


def wrong_ones(found: list[tuple[str, str]], server: ServerProcess) -> str:
    """What the server answers in another way than it stands there."""
    wrong = []
    for command, answer in found:
        if any(part in command for part in NOT_RUN):
            continue
        assert command.count("localhost:8888") == 1, command
        told = run(command, server)
        if answer and re.fullmatch(pattern(answer), told, re.S) is None:
            wrong.append(f"{command}\n  docs:   {answer}  server: {told}")
    return "\n".join(wrong)


def test_there_are_examples() -> None:
    commands = "\n".join(command for command, _ in examples())
    for part in ("/boards/ ", "PATCH localhost:8888/boards/lap/", "around=", "ids=", "x-ndjson"):
        assert part in commands
    assert len(examples()) > 20


WITH_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@WITH_CURL
def test_the_examples_of_the_api_are_answered_as_the_docs_say(
    server_process: Callable[..., ServerProcess],
) -> None:
    open_to_all = [example for example in examples() if TOKEN not in example[0]]
    wrong = wrong_ones(open_to_all, server_process())
    assert not wrong, wrong


@WITH_CURL
def test_the_examples_with_tokens_are_answered_as_the_docs_say(
    server_process: Callable[..., ServerProcess],
) -> None:
    with_tokens = [example for example in examples() if TOKEN in example[0]]
    assert len(with_tokens) > 2
    server = server_process("--audit=10", TORNADO_BOARD_TOKEN_SECRET=SECRET)
    text = token(scope="admin", jti="ops-7")
    hide = (
        f"curl -X PATCH localhost:8888/boards/demo/players/mars/ -d '{{\"hidden\": true}}'"
        f" -H 'Content-Type: application/json' -H 'Authorization: Bearer {text}'"
    )
    assert '"hidden":true' in run(hide, server)
    # The last ones first: the first of them deletes the player that others are about.
    asked = [(c.replace(TOKEN, text), answer) for c, answer in reversed(with_tokens)]
    asked += [(c.replace(TOKEN, text), answer) for c, answer in examples(SECURITY)]
    wrong = wrong_ones(asked, server)
    assert not wrong, wrong


@WITH_CURL
def test_the_readmes_tour_goes_as_it_says(
    server_process: Callable[..., ServerProcess],
) -> None:
    server = server_process()
    blocks = re.findall(r"^```sh\n(.*?)^```$", README.partition("## The tour")[2], re.M | re.S)
    first, game = [block for block in blocks if "/players/" in block]
    answers = run(first + game, server).splitlines()
    assert [json.loads(answer)["id"] for answer in answers[:2]] == ["race", "red"]
    assert json.loads(answers[4])["players"] == [{"id": "red", "name": "Red team", "score": 6}]
    submitted, shown, around = answers[5:]
    assert f"`{submitted}`" in README
    assert json.loads(shown) == {"id": "blue", "name": "Blue team", "score": 12, "rank": 1}
    assert [(p["id"], p["rank"]) for p in json.loads(around)["players"]] == [
        ("blue", 1),
        ("red", 2),
    ]
    board = run("curl localhost:8888/boards/race/", server).strip()
    assert f"data: {board}\n" in README
