"""Draws the fan-out's results: ``python -m benchmarks.plot results.json picture.svg``.

A bar chart in plain SVG, light or dark as the reader's system is; no plotting library needed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

_WIDTH, _LABELS, _ROW, _TOP = 820, 300, 26, 64
_PANEL = (_WIDTH - _LABELS) / 2

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.value { font-size: 12px }
.peer { fill: #8c959f } .ours { fill: #0969da } .floor { fill: #d0d7de }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .peer { fill: #6e7681 } .ours { fill: #4493f8 } .floor { fill: #3d444d }
}
"""


def plot(results: Sequence[dict[str, Any]], target: Path) -> None:
    """Write the chart of the largest number of subscribers in `results` to `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(svg(results))


def svg(results: Sequence[dict[str, Any]]) -> str:
    """The chart: CPU an event at 20 events/s and flat out, a bar for each server."""
    subscribers = max(r["subscribers"] for r in results)
    rows = [r for r in results if r["subscribers"] == subscribers]
    height = _TOP + _ROW * len(rows) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" '
        f'aria-label="CPU time for each delivered event, server by server">',
        f"<style>{_STYLE}</style>",
        f'<text x="0" y="18" class="title">CPU time for each delivered event, '
        f"{subscribers:,} subscribers (less is better)</text>",
    ]
    for panel, (kind, title) in enumerate((("paced", "20 events/s"), ("flat", "flat out"))):
        left = _LABELS + panel * _PANEL
        parts.append(f'<text x="{left:.0f}" y="46">{title}</text>')
        most = _PANEL - 120
        # The few events of a server that loses most of them are dear; they don't set the scale.
        scale = most / max(r[kind]["cpu_us"] for r in rows if r[kind]["missed"] < 0.5)
        for number, row in enumerate(rows):
            y = _TOP + number * _ROW
            cost = row[kind]["cpu_us"]
            width = min(max(1.0, cost * scale), most)
            lossy = row[kind]["missed"] >= 0.5 and not row["peer"].startswith("tornado_board")
            note = f", {row[kind]['missed']:.0%} lost" if lossy else ""
            parts.append(
                f'<rect x="{left:.0f}" y="{y}" width="{width:.1f}" height="{_ROW - 8}" rx="2" '
                f'class="{_class(row["peer"])}"/>'
                f'<text x="{left + width + 6:.1f}" y="{y + 13}" class="value">'
                f"{cost:.1f} µs{note}</text>"
            )
    for number, row in enumerate(rows):
        y = _TOP + number * _ROW + 13
        name = escape(row["peer"].replace("`", ""))
        parts.append(f'<text x="{_LABELS - 10}" y="{y}" text-anchor="end">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _class(peer: str) -> str:
    if peer.startswith("tornado_board"):
        return "ours"
    return "floor" if "floor" in peer else "peer"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="what benchmarks.fanout wrote with --json")
    parser.add_argument("target", type=Path)
    chosen = parser.parse_args()
    plot(json.loads(chosen.results.read_text()), chosen.target)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
