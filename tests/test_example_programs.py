"""The programs in ``examples/``: run as their READMEs say, and through what they are made for."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from examples import run

from .chromium import Chromium
from .ports import free_port
from .server_process import ROOT, ServerProcess, clean_environ
from .tokens import SECRET
from .waiting import PATIENCE

EXAMPLES = ROOT / "examples"


class Example:
    """An example's program beside a server that can be killed."""

    def __init__(self, name: str, server: Callable[..., ServerProcess]) -> None:
        port = free_port()
        self.url = f"http://localhost:{port}"
        self.server = server(
            f"--allowed-origins={self.url}",
            TORNADO_BOARD_TOKEN_SECRET=SECRET,
        )
        self.boards = f"{self.server.url}/"
        board = run.make_board(name, self.boards, SECRET)
        self.board = f"{self.boards}boards/{board}/"
        self.process = run.start(name, port, self.boards, SECRET)
        run.wait_for(f"{self.url}/{run.PAGES[name]}", self.process)

    def players(self) -> list[tuple[str, float]]:
        """Who is on the board, with the score, as the server has it."""
        players = httpx.get(self.board, timeout=PATIENCE).raise_for_status().json()["players"]
        return [(player["name"], player["score"]) for player in players]


Start = Callable[[str], Example]


@pytest.fixture
def example(server_process: Callable[..., ServerProcess]) -> Iterator[Start]:
    started: list[Example] = []

    def start(name: str) -> Example:
        started.append(Example(name, server_process))
        return started[-1]

    yield start
    for one in started:
        run.end(one.process)


@pytest.mark.parametrize("name", run.PROGRAMS)
def test_one_command_runs_it(name: str, tmp_path: Path) -> None:
    readme = (EXAMPLES / name / "README.md").read_text("utf-8")
    assert f"python examples/run.py {name}\n" in readme
    port, boards_port = free_port(), free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, str(EXAMPLES / "run.py"), name),
            *(f"--port={port}", f"--boards-port={boards_port}"),
        ],
        cwd=tmp_path,
        env={**clean_environ(), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C ends both" not in said:
            line = process.stdout.readline()
            assert line, f"it ended:\n{said}"
            said += line
        (page,) = re.findall(r"^example +(\S+)$", said, re.M)
        assert httpx.get(page, timeout=PATIENCE).status_code == 200
        (board,) = re.findall(r"^boards +\S+\?board=(\w+)$", said, re.M)
        assert (
            httpx.get(f"http://localhost:{boards_port}/boards/{board}/", timeout=PATIENCE).json()[
                "players"
            ]
            == []
        )
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    for left in (port, boards_port):
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{left}/", timeout=PATIENCE)
    assert list(tmp_path.iterdir()) == []


#: Every star comes where the basket is put, in the middle or further left, and is worth as much.
STARS = """
Math.random = () => {chance};
document.querySelector("canvas").dataset.seconds = 4;
document.querySelector("canvas").dispatchEvent(
  new PointerEvent("pointermove", {{ clientX: {x} }}));
document.querySelector("form").player.value = "Ada";
document.querySelector("form").requestSubmit();
"""
SAID = "document.querySelector('[role=status]').textContent"
ROW = "document.querySelector('live-board').shadowRoot?.querySelector('li.own')?.innerText"


@pytest.mark.gen_test
async def test_the_game_submits_and_keeps_what_could_not_be_sent(
    example: Start, browser: Chromium
) -> None:
    game = example("game")
    tab = await browser.open(game.url)
    await tab.until("document.querySelector('live-board').state === 'live'")

    async def play(chance: float, place: float) -> None:
        x = await tab.run(
            "(({ left, width }) => left + "
            f"width * {place})(document.querySelector('canvas').getBoundingClientRect())"
        )
        await tab.run(STARS.format(chance=chance, x=x))

    await play(0.5, 0.5)
    await tab.until(f"{SAID}.endsWith('stars: rank 1 of 1!')")
    ((name, first),) = game.players()
    assert name == "Ada"
    assert first > 0
    await tab.until(f"{ROW}?.includes('Ada')")
    # Golden ones, while the server is away, and through a reload.
    game.server.kill()
    await play(0.05, 0.0875)
    await tab.until(f"{SAID}.includes('is kept')")
    await tab.go(game.url)
    await tab.until(f"{SAID} !== ''")
    game.server.restart()
    await tab.until(f"{SAID}.endsWith('stars: rank 1 of 1!')", 60)
    ((_, second),) = game.players()
    assert second > first
    assert second % 5 == 0
    assert await tab.run("localStorage.getItem('unsent')") is None
    assert not any("eyJ" in address for address in tab.requests), "a token in an address"


def test_a_player_of_the_game_can_submit_for_nobody_else_and_no_more_than_a_round_gives(
    example: Start,
) -> None:
    game = example("game")
    with httpx.Client(timeout=PATIENCE) as client:
        one = client.post(f"{game.url}/session").json()
        again = client.post(f"{game.url}/session").json()
        assert again["player"] == one["player"]
        bearer = {"Authorization": f"Bearer {one['token']}"}
        for player, score, status in (
            (one["player"], 506, 422),
            ("somebody", 10, 403),
            (one["player"], 505, 201),
        ):
            url = f"{game.board}players/{player}/score/"
            answer = client.post(url, json={"score": score}, headers=bearer)
            assert answer.status_code == status, answer.text
        assert client.get(f"{game.url}/game_backend.py").status_code == 404


WALL = "[...document.querySelectorAll('li')].map((row) => row.innerText.replaceAll('\\n', ' '))"
DESK = "[...document.querySelectorAll('li span')].map((row) => row.textContent)"


@pytest.mark.gen_test
async def test_a_quiz_night(example: Start, browser: Chromium) -> None:
    quiz = example("quiz")
    wall = await browser.open(f"{quiz.url}/wall.html?boards={quiz.boards}")
    desk = await browser.open(f"{quiz.url}/quizmaster.html")

    async def begin(token: str) -> None:
        await desk.until("document.readyState === 'complete' && window.desk")
        await desk.run(
            f"desk.boards.value = '{quiz.boards}'; desk.token.value = '{token}';"
            "desk.requestSubmit()"
        )

    async def add(team: str) -> None:
        await desk.run(f"team.called.value = `{team}`; team.requestSubmit()")

    await begin("no-token")
    await add("Foxes")
    await desk.until("document.querySelector('[role=alert]').textContent")
    assert quiz.players() == []
    await desk.go(f"{quiz.url}/quizmaster.html")
    await begin(run.token(SECRET, "quiz", "write"))
    for team in ("Foxes", "<i>Owls</i>"):
        await add(team)
        await desk.until(f"{DESK}.includes('{team}: 0')")
    await desk.run("document.querySelector('[aria-label=\"<i>Owls</i>: +5\"]').click()")
    await wall.until(f"{WALL}.join() === '1 <i>Owls</i> 5,2 Foxes 0'")
    # Points that are given while the server is away count once, and the wall comes back.
    quiz.server.kill()
    await desk.run("document.querySelector('[aria-label=\"Foxes: +2\"]').click()")
    await wall.until("document.querySelector('[role=status]').textContent")
    await desk.until("document.querySelector('[role=alert]').textContent")
    quiz.server.restart()
    await wall.until(f"{WALL}.join() === '1 <i>Owls</i> 5,2 Foxes 2'", 60)
    await wall.until("document.querySelector('[role=status]').textContent === ''")
    await desk.run("window.confirm = () => true; over.click()")
    await wall.until("document.querySelector('h1 span').textContent.endsWith('1 is over')")
    assert await wall.run(f"{WALL}.join()") == "1 <i>Owls</i> 5,2 Foxes 2"
    await desk.until(f"{DESK}.length === 0")
    await add("Bears")
    await desk.until(f"{DESK}.join() === 'Bears: 0'")
    assert quiz.players() == [("Bears", 0)]
    for tab in (wall, desk):
        assert not any("eyJ" in address for address in tab.requests), "a token in an address"


def test_a_match_counts_once(example: Start) -> None:
    matches = example("matches")
    with httpx.Client(base_url=matches.url, timeout=PATIENCE) as client:

        def report(match: str, ada: object, secret: str = SECRET) -> httpx.Response:
            results = [{"player": "ada", "points": ada}, {"player": "bob", "points": 1}]
            bearer = {"Authorization": f"Bearer {secret}"}
            return client.put(f"/matches/{match}", json={"results": results}, headers=bearer)

        assert report("1", 3, "wrong").status_code == 403
        assert report("1", 101).status_code == 422
        for _ in range(2):
            told = report("1", 3).raise_for_status().json()
            assert [(one["player"], one["score"], one["error"]) for one in told] == [
                ("ada", 3, None),
                ("bob", 1, None),
            ]
        matches.server.kill()
        answer = report("2", 4)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        matches.server.restart()
        assert report("2", 4).status_code == 200
        assert report("2", 4).json()[0]["score"] == 7
        assert matches.players() == [("ada", 7), ("bob", 2)]
        place = client.get("/players/bob").raise_for_status().json()
        assert [(one["rank"], one["name"]) for one in place] == [(1, "ada"), (2, "bob")]
        assert client.get("/players/nobody").status_code == 404


def test_the_godot_script_is_gdscript() -> None:
    """As far as it goes without the engine: Godot's grammar, and the style that its makers keep."""
    for tool, *flags in (("parser",), ("linter",), ("formatter", "--check", "--line-length=100")):
        done = subprocess.run(
            [
                *(sys.executable, "-m", f"gdtoolkit.{tool}", *flags),
                str(EXAMPLES / "godot" / "live_board.gd"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
