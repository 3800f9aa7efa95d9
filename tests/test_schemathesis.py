"""The API against its own description: schemathesis sends what that allows and what it forbids, one
request after the other and in sequences, and compares the answers.

As many examples an operation as `SCHEMATHESIS_EXAMPLES` says, of the seed that `SCHEMATHESIS_SEED`
names; before a release 200, of others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from .server_process import ROOT, ServerProcess, clean_environ
from .tokens import SECRET, token

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "5"))
SEED = int(os.environ.get("SCHEMATHESIS_SEED", "1"))

#: Seconds that may pass on a machine that does other things as well.
PATIENCE = 600 + 15 * EXAMPLES


def run(server: ServerProcess, *options: str) -> None:
    """Try `server`. What is found is shown with a command that does it again."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", str(ROOT / "tests" / "schemathesis.toml")),
        *("run", f"{server.url}/openapi.json", f"--max-examples={EXAMPLES}"),
        f"--seed={SEED}",
        *("--continue-on-failure", "--warnings=off", "--request-timeout=20"),
        *options,
    ]
    done = subprocess.run(
        command,
        cwd=server.folder,
        env={**clean_environ(), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout, done.stdout
    # Nothing made the server fail, either.
    assert " ERROR " not in server.text, server.text


@pytest.mark.parametrize("fast", ["true", "false"])
def test_an_open_server_is_as_it_says(
    server_process: Callable[..., ServerProcess], fast: str
) -> None:
    run(server_process(f"--fast-path={fast}"))


def test_a_server_with_tokens_is_as_it_says(
    server_process: Callable[..., ServerProcess],
) -> None:
    server = server_process("--private", "--audit=1000", TORNADO_BOARD_TOKEN_SECRET=SECRET)
    run(server, "--header", f"Authorization: Bearer {token(scope='admin')}")
