"""Tries client libraries of others, and writes what was measured into ``docs/clients.md``.

    python -m tests.other_clients [--folder=FOLDER] [NAME ...]

They are installed in a folder outside of the checkout, from the registries that npm and pip use.
With names only those are tried, and their rows of the table made anew.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import statistics
import tempfile
from pathlib import Path

from ..server_process import ROOT
from .libraries import Library, browsers, here, install_node, install_python
from .measure import Row, Trial

DOCS = ROOT / "docs" / "clients.md"
BEGIN, END = "<!-- other clients: python -m tests.other_clients -->\n", "<!-- end -->"

#: What is called so, in seconds, for the median of the times from a change to its event. What holds
#: a stream back does so until the next comment, which comes every 15 s.
AT_ONCE = 1.0

COLUMNS = (
    *("client", "runs in", "version", "connected by", "sees an event"),
    *("after a restart", "after `kill -9`", "events missed, and twice"),
)


def cells(row: Row) -> list[str]:
    library = row.library
    found = [f"`{library.name}`", library.runtime or "a shell", library.version]
    if row.trouble:
        return [*found, "", "", "", "", row.trouble.replace("|", " ")[:200]]
    back = {True: "comes back", False: "the program has to"}
    median = statistics.median(row.times)
    lost = f"{row.missing}, {row.twice}"
    if row.resets:
        lost += f"; {row.resets} resets"
    return [
        *found,
        row.transport,
        "at once" if median < AT_ONCE else f"after {median:.1f} s",
        *(back[row.back[what]] for what in ("restart", "kill")),
        lost,
    ]


def line_of(row: Row) -> str:
    return f"| {' | '.join(cells(row))} |"


def key_of(line: str) -> list[str]:
    """What a row of the table is about: the client, and what it runs in."""
    return line.split("|")[1:3]


def tried(library: Library) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        row = Trial(library, Path(folder)).run()
    print(line_of(row), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = Path(tempfile.gettempdir()) / "tornado_board-other-clients"
    parser.add_argument("--folder", type=Path, default=default)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    if ROOT in (folder, *folder.parents):
        parser.error("the folder has to be outside of the checkout")
    folder.mkdir(parents=True, exist_ok=True)
    libraries = [*browsers(), *install_node(folder), *install_python(folder), *here()]
    if options.names:
        libraries = [library for library in libraries if library.name in options.names]
    with concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
        rows = list(pool.map(tried, libraries))
    doc = DOCS.read_text("utf-8")
    before, _, rest = doc.partition(BEGIN)
    old, _, after = rest.partition(END)
    assert after, f"{DOCS} has no place for the table"
    lines = [line_of(row) for row in rows]
    if options.names:
        new = {tuple(key_of(line)): line for line in lines}
        there = [line for line in old.splitlines() if line.startswith("| `")]
        lines = [new.pop(tuple(key_of(line)), line) for line in there] + list(new.values())
    head = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    measured = f"The newest of these figures are of {datetime.date.today():%d %B %Y}."
    text = "\n".join([measured, "", *head, *lines])
    DOCS.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
