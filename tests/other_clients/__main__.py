"""Tries client libraries of others, and writes what was measured into ``docs/clients.md``.

    python -m tests.other_clients [--folder=FOLDER] [NAME ...]

They are installed in a folder outside of the checkout, from the registries that npm and pip use.
With names only those are tried, and the table is printed.
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


def table(rows: list[Row]) -> str:
    lines = [COLUMNS, ["---"] * len(COLUMNS), *map(cells, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def tried(library: Library) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        row = Trial(library, Path(folder)).run()
    print(f"| {' | '.join(cells(row))} |", flush=True)
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
    text = table(rows)
    if options.names:
        print(text)
        return
    today = datetime.date.today()
    doc = DOCS.read_text("utf-8")
    before, _, rest = doc.partition(BEGIN)
    after = rest.partition(END)[2]
    assert after, f"{DOCS} has no place for the table"
    measured = f"Measured on {today:%d %B %Y}, with {len(rows)} clients.\n"
    DOCS.write_text(f"{before}{BEGIN}\n{measured}{text}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
