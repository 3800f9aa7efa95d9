"""Imports and exports where the network, or what is asked for, is wrong."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from .moving import run, write_rows


class Proxy(http.server.BaseHTTPRequestHandler):
    """Answers as its class says; counts."""

    answers: Sequence[tuple[int, dict[str, str], bytes]] = ()
    asked = 0

    def do_GET(self) -> None:
        cls = type(self)
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        status, headers, body = self.answers[min(cls.asked, len(self.answers) - 1)]
        cls.asked += 1
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def answering(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[str]:
    handler = type("Handler", (Proxy,), {"answers": answers})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_proxy_that_is_in_the_way_is_told(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.ndjson", 2)
    for answer, message in (
        ((301, {"Location": "https://b.example/"}, b""), "'https://b.example/'); give the address"),
        ((200, {}, b"<html>"), "the answer is not one of this server's"),
        ((403, {}, b"<html>"), "403: Forbidden"),
        ((502, {}, b"<html>"), "502: Bad Gateway; trying again for 0 s"),
    ):
        with answering(answer) as url:
            done = run(tmp_path, url, "import", "b", "a.ndjson", "--patience=0", "--restart")
            assert done.returncode == 1
            assert message in done.stderr.decode()


def test_rows_that_may_go_through_later_are_sent_again(tmp_path: Path) -> None:
    """With the same key: those that were taken are not carried out twice."""
    (tmp_path / "a.ndjson").write_text('{"id":"x","score":1}\n{"id":"x","score":2}\n')
    later = b'{"status":201}\n{"status":503,"detail":"away"}\n'
    with answering((200, {}, later), (200, {}, b'{"status":201}\n{"status":201}\n')) as url:
        done = run(tmp_path, url, "import", "b", "a.ndjson")
    assert done.returncode == 0, done.stderr
    assert b"503: away; trying again" in done.stderr
    assert b"2 rows: 2 taken (2 made" in done.stderr


def test_an_export_that_is_cut_off_begins_anew_and_the_file_is_whole(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    part = (200, {"Content-Length": "100"}, b"id,name,score,rank,meta\r\n")
    whole: tuple[int, dict[str, str], bytes] = (
        200,
        {},
        b"id,name,score,rank,meta\r\na,a,1,1,{}\r\n",
    )
    with answering(part, part, whole) as url:
        done = run(tmp_path, url, "export", "b", "a.csv")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.csv").read_bytes() == whole[2]
    with answering(part) as url:
        done = run(tmp_path, url, "export", "b", "a.csv", "--patience=0")
        assert done.returncode == 1
        assert (tmp_path / "a.csv").read_bytes() == whole[2]
        assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
        # What went to a pipe can't be taken back.
        done = run(tmp_path, url, "export", "b", "--format=csv")
        assert (done.returncode, b"what was written is not all" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "b"], "required: FILE"),
        (["import", "b", "none.csv"], "none.csv: No such file"),
        (["import", "b", "file"], "--format: expected csv or ndjson"),
        (["import", "a/b", "a.csv"], "BOARD: expected the id of a board"),
        (["import", "b", "a.csv", "--rows=0"], "--rows: expected a whole number from 1"),
        (["import", "b", "a.csv", "--rows=x"], "--rows: invalid int value"),
        (["import", "b", "a.csv", "--patience=nan"], "--patience: expected seconds"),
        (["import", "b", "a.csv", "--url=ftp://x/"], "--url: expected http://host:port/"),
        (["import", "b", "a.csv", "--url=http://u:secret@x/"], "--url: expected no user"),
        (["import", "b", "a.csv", "--url=http://x:99999/"], "--url: the host or the port"),
        (["import", "b", "a.csv", "--token=a b"], "--token: has characters"),
        (["import", "b", "a.csv", "--token-file=none"], "--token-file: 'none': No such file"),
        (["import", "b", "a.csv", "--port=1"], "unrecognized arguments: --port=1"),
        (["import", "b", "a.csv"], "line 1: expected a header with the columns id and score"),
        (["import", "b", "b.csv"], "line 1: expected the columns id, score, name"),
        (["import", "b", "long.ndjson"], "line 2 is longer than 65,536 bytes"),
        (["export"], "required: BOARD"),
        (["export", "b", "no/such.csv"], "no/such.csv: No such file"),
        (["export", "b", "file"], "--format: expected csv or ndjson"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "file").write_text("id,score\n")
    (tmp_path / "a.csv").write_text("id,points\n")
    (tmp_path / "b.csv").write_text("id,score,points\n")
    (tmp_path / "long.ndjson").write_text("{}\n" + " " * 70_000 + "\n")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        done = run(tmp_path, url, *arguments)
    assert (done.returncode, done.stdout) == (1, b"")
    assert message in done.stderr.decode()
    assert "secret" not in done.stderr.decode()
