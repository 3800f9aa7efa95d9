"""A realtime leaderboard server: one Tornado process from the changefeed to the browser."""

__version__ = "0.1.0"
