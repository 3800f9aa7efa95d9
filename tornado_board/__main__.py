"""Starts the leaderboard server: ``python -m tornado_board``."""

from tornado_board.server import main

if __name__ == "__main__":
    raise SystemExit(main())
