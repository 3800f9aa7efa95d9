"""Triggers: whoever writes, the rows are in order and the change is noted.

Programs may leave out the columns that they don't know: `rules`, `merit` and `reached_at` of
players are set here then. This server's own statements set them.
"""

from __future__ import annotations

import sqlite3

from tornado_board.store.sqlite.schema import (
    ASCENDING,
    BOARD_FIELDS,
    DELETED,
    FIRST,
    MADE,
    PLAYER_FIELDS,
    SWEPT_AT_ONCE,
    board_in,
    is_hidden,
    merit,
    number_in,
    partition,
    turned,
)

#: Rows of ``changes`` that are kept where no server takes them, and how many go at a time.
KEPT_CHANGES = 400_000
_PRUNED = 10_000


def _entombed(board: str) -> str:
    return f"EXISTS (SELECT 1 FROM tombstones WHERE board = {board})"


def _made_since(row: str) -> str:
    return f"EXISTS (SELECT 1 FROM made_since WHERE board = {row}.board AND player = {row}.id)"


def _alive(row: str) -> str:
    return f"(NOT {_entombed(f'{row}.board')} OR {_made_since(row)})"


def _differ(*columns: str) -> str:
    return "(" + " OR ".join(f'OLD."{column}" IS NOT NEW."{column}"' for column in columns) + ")"


def _shown_score(row: str) -> str:
    """What the feed has told of the player in a row: none of one that is hidden."""
    return f"CASE WHEN NOT {is_hidden(row)} THEN {row}.score END"


#: What of a player a change is noted of.
_SHOWN = [field for field in PLAYER_FIELDS if field != "id"]

#: `schema.players.rules` of the players of the board `b`, or of a season `b` that is over; and of
#: the season in a row of players.
_RULES = f"(b.\"order\" IS 'asc') * {ASCENDING} + (b.ties IS 'first') * {FIRST}"
_IS_SEASON = f"b.board = {board_in('NEW.board')} AND b.number = {number_in('NEW.board')}"
_RULES_OF_NEW = (
    f"coalesce((SELECT {_RULES} FROM past_seasons b WHERE {_IS_SEASON}),"
    f" (SELECT {_RULES} FROM boards b WHERE b.id = {board_in('NEW.board')}), 0)"
)

#: Milliseconds since 1970.
_NOW = "CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER)"

#: Gives the players of the season of a board NEW its rules: those that were there before it or its
#: change.
_PARTITION = partition("NEW")
_RULES_OF_BOARD = f"(SELECT {_RULES} FROM boards b WHERE b.id = NEW.id)"
_RULE_SOME = f"""
    UPDATE players SET rules = {_RULES_OF_BOARD},
            reached_at = reached_at * (NEW.ties IS 'first'),
            merit = {merit("players", _RULES_OF_BOARD)}
        WHERE rules IS NOT {_RULES_OF_BOARD} AND"""
_RULE = f"""{_RULE_SOME} board = (SELECT {_PARTITION} WHERE NOT {_entombed(_PARTITION)});
{_RULE_SOME} board = {_PARTITION}
            AND id IN (SELECT player FROM made_since WHERE board = {_PARTITION});
"""

#: Notes a board that there was not before.
_NOTE_MADE = f"""
    INSERT INTO changes (board, player, before) VALUES (NEW.id, '', {MADE});
    INSERT INTO changes (board, player) SELECT p.board, p.id FROM players p
        WHERE p.board = (SELECT {_PARTITION} WHERE NOT {_entombed(_PARTITION)});
"""

#: Has the players of a board's seasons swept, but for those of the first. A number is in each of
#: them once, since the present season is not over.
_LATER_SEASONS = f"""
    INSERT INTO tombstones (board) SELECT number || ':' || board FROM past_seasons s
        WHERE board = OLD.id AND number > 1 AND NOT {_entombed("s.number || ':' || s.board")};
    INSERT INTO tombstones (board) SELECT {partition("OLD")}
        WHERE {partition("OLD")} <> OLD.id AND NOT {_entombed(partition("OLD"))};
    DELETE FROM made_since WHERE board = {partition("OLD")}
        OR board IN (SELECT number || ':' || board FROM past_seasons WHERE board = OLD.id);
    DELETE FROM past_seasons WHERE board = OLD.id;
"""

#: `schema.merit` of a NEW row if it is a player, without a look at whether it is.
_MERIT_OF_PLAYER = f"CASE WHEN NOT {is_hidden('NEW')} THEN {turned('NEW.score', 'NEW.rules')} END"

#: Gives a player its board's rules, a time and a merit.
_OBEY = f"""
    UPDATE players SET rules = {_RULES_OF_NEW},
            reached_at = CASE WHEN {_RULES_OF_NEW} & {FIRST} = 0 THEN 0
                WHEN typeof(NEW.reached_at) = 'integer' AND NEW.reached_at <> 0 THEN NEW.reached_at
                ELSE {_NOW} END,
            merit = {merit("NEW", _RULES_OF_NEW)}
        WHERE board = NEW.board AND id = NEW.id AND (
            NEW.rules IS NOT {_RULES_OF_NEW} OR typeof(NEW.reached_at) <> 'integer'
            OR NEW.merit IS NOT {_MERIT_OF_PLAYER}
        );
"""

#: Makes room for a player where one of the same id waits to be swept.
_MAKE_ROOM = """
    DELETE FROM players WHERE board = NEW.board AND id = NEW.id;
    INSERT INTO made_since (board, player) VALUES (NEW.board, NEW.id);
"""

#: Notes a player that a row takes the place of (OR REPLACE), which fires no other trigger.
_NOTE_REPLACED = f"""
    INSERT INTO changes (board, player, before)
        SELECT p.board, p.id, {_shown_score("p")} FROM players p
        WHERE p.board = NEW.board AND p.id = NEW.id;
"""
_REPLACES = (
    "EXISTS (SELECT 1 FROM players p WHERE p.board = NEW.board AND p.id = NEW.id)"
    f" AND {_alive('NEW')}"
)

#: Whether a score changed, and not the time, which counts on this board.
_IS_LATE = (
    f"(NEW.rules & {FIRST} AND OLD.score IS NOT NEW.score AND OLD.reached_at IS NEW.reached_at)"
)

# A conflict clause of the statement that fires a trigger overrides those in the trigger
# (https://www.sqlite.org/lang_createtrigger.html), so the triggers see to it that there is none.
# Triggers for the same event run in any order; what has to follow the other is in the same one.
_TRIGGERS = f"""
board_made BEFORE INSERT ON boards
WHEN NOT EXISTS (SELECT 1 FROM boards WHERE id = NEW.id) BEGIN{_NOTE_MADE}END;
board_inserted AFTER INSERT ON boards BEGIN{_RULE}
    INSERT INTO changes (board, player) VALUES (NEW.id, '');
END;
board_updated AFTER UPDATE ON boards WHEN {_differ(*BOARD_FIELDS)} BEGIN
    INSERT INTO changes (board, player) VALUES (NEW.id, '');
END;
board_renamed AFTER UPDATE OF id ON boards WHEN {_differ("id")} BEGIN
    INSERT INTO changes (board, player, before) VALUES
        (OLD.id, '', {DELETED}), (NEW.id, '', {DELETED});{_NOTE_MADE}END;
board_ruled AFTER UPDATE OF id, "order", ties ON boards WHEN {_differ("id", "order", "ties")}
BEGIN{_RULE}END;
-- The subquery gives NULL where there is a tombstone: then no row is looked at.
board_deleted AFTER DELETE ON boards BEGIN
    DELETE FROM made_since WHERE board = OLD.id;
    INSERT INTO tombstones (board) SELECT OLD.id
        WHERE NOT {_entombed("OLD.id")} AND {SWEPT_AT_ONCE} < (
            SELECT count(*) FROM (
                SELECT 1 FROM players WHERE board = OLD.id LIMIT {SWEPT_AT_ONCE + 1}
            )
        );
    DELETE FROM players WHERE board = (SELECT OLD.id WHERE NOT {_entombed("OLD.id")});
    INSERT INTO changes (board, player, before) VALUES (OLD.id, '', {DELETED});{_LATER_SEASONS}END;
player_displaces BEFORE INSERT ON players
WHEN {_entombed("NEW.board")} AND NOT {_made_since("NEW")} BEGIN{_MAKE_ROOM}END;
player_replaces BEFORE INSERT ON players WHEN {_REPLACES} BEGIN{_NOTE_REPLACED}END;
player_inserted AFTER INSERT ON players BEGIN
    INSERT INTO changes (board, player) VALUES (NEW.board, NEW.id);{_OBEY}END;
player_moves BEFORE UPDATE OF board, id ON players
WHEN {_differ("board", "id")} AND {_entombed("NEW.board")} AND NOT {_made_since("NEW")}
BEGIN{_MAKE_ROOM}END;
player_moves_over BEFORE UPDATE OF board, id ON players
WHEN {_differ("board", "id")} AND {_REPLACES} BEGIN{_NOTE_REPLACED}END;
player_moved AFTER UPDATE OF board, id ON players WHEN {_differ("board", "id")} BEGIN
    INSERT INTO changes (board, player, before) SELECT OLD.board, OLD.id, {_shown_score("OLD")}
        WHERE {_alive("OLD")};
    INSERT INTO changes (board, player) VALUES (NEW.board, NEW.id);{_OBEY}END;
-- Times that are none would have no place behind which to read on.
player_updated AFTER UPDATE OF {", ".join(_SHOWN)} ON players
WHEN {_differ(*_SHOWN)} AND NOT {_differ("board", "id")}
    AND {_alive("NEW")} BEGIN
    INSERT INTO changes (board, player, before)
        VALUES (NEW.board, NEW.id, {_shown_score("OLD")});
    UPDATE players SET reached_at = CASE WHEN typeof(NEW.reached_at) <> 'integer' THEN 0
                WHEN {_IS_LATE} THEN {_NOW} ELSE NEW.reached_at END,
            merit = {merit("NEW", "NEW.rules")}
        WHERE board = NEW.board AND id = NEW.id AND (
            typeof(NEW.reached_at) <> 'integer' OR {_IS_LATE}
            OR NEW.merit IS NOT {_MERIT_OF_PLAYER}
        );
END;
-- Players that go with their board are told of by the board's own row.
player_deleted AFTER DELETE ON players
WHEN EXISTS (SELECT 1 FROM boards WHERE id = {board_in("OLD.board")}) AND {_alive("OLD")} BEGIN
    INSERT INTO changes (board, player, before)
        VALUES (OLD.board, OLD.id, {_shown_score("OLD")});
END;
changes_kept AFTER INSERT ON changes WHEN NEW.seq % {_PRUNED} = 0 BEGIN
    DELETE FROM changes WHERE seq <= NEW.seq - {KEPT_CHANGES};
END;
"""


def set_triggers(c: sqlite3.Connection) -> None:
    """Make the triggers, in place of those that an earlier version made or somebody changed."""
    present = dict(c.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    for name, statement in triggers().items():
        if present.get(name) != statement:
            c.execute(f"DROP TRIGGER IF EXISTS {name}")
            c.execute(statement)


def triggers() -> dict[str, str]:
    """The statements that make the triggers, by name, as SQLite keeps them."""
    statements = {}
    text = ""
    for line in _TRIGGERS.splitlines(keepends=True):
        if not line.startswith("--"):
            text += line
        if line.rstrip().endswith("END;"):
            statement = f"CREATE TRIGGER {text.strip().removesuffix(';')}"
            statements[statement.split()[2]] = statement
            text = ""
    return statements
