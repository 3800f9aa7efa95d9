"""The board that an empty database is given, so that the page has something to show."""

from __future__ import annotations

from tornado_board.inputs import NewBoard, NewPlayer

SAMPLE_BOARD = NewBoard(id="demo", name="Demo board")
SAMPLE_PLAYERS = (
    NewPlayer(id="mercury", name="Mercury", score=12),
    NewPlayer(id="venus", name="Venus", score=31),
    NewPlayer(id="earth", name="Earth", score=27),
    NewPlayer(id="mars", name="Mars", score=19),
    NewPlayer(id="jupiter", name="Jupiter", score=23),
)
