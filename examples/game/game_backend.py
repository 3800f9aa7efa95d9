"""The backend of a game: serves its page, and knows who plays.

A player's page gets a token that submits this player's scores and nothing else, for a quarter of an
hour. The secret that makes tokens stays here.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from pathlib import Path

import jwt
import tornado.web

HERE = Path(__file__).parent
BOARDS = os.environ["BOARDS_URL"]  # with a slash at its end
SECRET = os.environ["BOARDS_SECRET"]
BOARD = "stars"
#: How long a token is good, in seconds. It can't be taken back before.
LIFETIME = 900


class Session(tornado.web.RequestHandler):
    """Who plays on this page. Your login goes here: this one makes a player of every browser."""

    def post(self) -> None:
        player = (self.get_signed_cookie("player") or b"").decode()
        if not player:
            player = secrets.token_hex(8)
            self.set_signed_cookie("player", player, httponly=True, samesite="Strict")
        claims = {
            "scope": "submit",
            "boards": [BOARD],
            "sub": player,  # the only player whose score it submits
            "exp": time.time() + LIFETIME,
        }
        token = jwt.encode(claims, SECRET, "HS256")
        self.set_header("Cache-Control", "no-store")
        self.finish({"boards": BOARDS, "board": BOARD, "player": player, "token": token})


async def main() -> None:
    files = {"path": str(HERE), "default_filename": "index.html"}
    application = tornado.web.Application(
        [
            ("/session", Session),
            (r"/(|index\.html|game\.js)", tornado.web.StaticFileHandler, files),
        ],
        # One of your own that stays, or players are strangers after each restart.
        cookie_secret=os.environ.get("COOKIE_SECRET", secrets.token_hex(32)),
    )
    application.listen(int(os.environ.get("PORT", "8000")), "localhost")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
