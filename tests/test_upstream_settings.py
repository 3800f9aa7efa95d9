"""The settings of an edge: what goes with an upstream, and what is never shown."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tornado_board.server import main
from tornado_board.settings import Settings

# Starting


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--upstream=boards.example"], "upstream: has to begin with http"),
        (["--upstream=http://h:secret"], "upstream: the host or the port"),
        (["--upstream=http://h", "--database-url=sqlite:///x"], "database_url and upstream"),
        (["--upstream=http://h", "--token-secret-file=x"], "upstream: the server that is followed"),
        (["--upstream=http://h", "--token-keys=x"], "upstream: the server that is followed"),
        (["--upstream=https://h", "--upstream-ca-certs=nowhere"], "upstream_ca_certs: 'nowhere'"),
        (["--upstream=http://h", "--processes=2"], "processes: several processes that follow"),
        (["--upstream=http://h", "--upstream-timeout=0"], "upstream_timeout: 0.0 is out of range"),
    ],
)
def test_settings_that_do_not_go_with_an_upstream_end_the_start(
    flags: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*flags, "--port=0", "--address=127.0.0.1"]) == 1
    error = capsys.readouterr().err
    assert told in error.replace("--upstream-timeout", "upstream_timeout")
    assert "secret" not in error.replace("token_secret", "")
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.glob("tornado_board.sqlite3*"))


def test_settings_show_no_password_of_an_upstream() -> None:
    settings = dataclasses.replace(Settings(), upstream=("http://u:secret@h",))
    assert "secret" not in repr(settings).replace("token_secret", "")
    assert json.dumps(settings.replay_url) == '"sqlite:///tornado_board_edge.sqlite3"'
