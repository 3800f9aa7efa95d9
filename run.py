"""Starts the leaderboard server: ``python run.py``, ``python run.py --help`` for the settings."""

from tornado_board.server import main

if __name__ == "__main__":
    raise SystemExit(main())
