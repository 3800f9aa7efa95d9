-- What the fourth version made.
CREATE TABLE boards (
        id TEXT NOT NULL PRIMARY KEY
            CHECK (length(id) BETWEEN 1 AND 64 AND id NOT GLOB '*[^A-Za-z0-9._~-]*'),
        name TEXT CHECK (name IS NULL OR typeof(name) = 'text')
    , "order" TEXT CHECK ("order" IN ('desc', 'asc')), "ties" TEXT CHECK (ties IN ('id', 'first')), "operator" TEXT CHECK (operator IN ('best', 'set', 'add')), "top" INTEGER CHECK (top IS NULL OR typeof(top) = 'integer' AND top BETWEEN 1 AND 100), "min" NUMERIC CHECK (typeof(min) IN ('null', 'integer', 'real') AND coalesce(min, 0) BETWEEN -9007199254740992 AND 9007199254740992), "max" NUMERIC CHECK (typeof(max) IN ('null', 'integer', 'real') AND coalesce(max, 0) BETWEEN -9007199254740992 AND 9007199254740992), "meta" TEXT CHECK (typeof(meta) IN ('null', 'text')), "show" TEXT CHECK (typeof(show) IN ('null', 'text')), "private" INTEGER CHECK (private IN (0, 1))) WITHOUT ROWID;
CREATE TABLE players (
        board TEXT NOT NULL,
        id TEXT NOT NULL CHECK (length(id) BETWEEN 1 AND 64 AND id NOT GLOB '*[^A-Za-z0-9._~-]*'),
        name TEXT NOT NULL CHECK (typeof(name) = 'text'),
        score NUMERIC NOT NULL DEFAULT 0 CHECK (
            typeof(score) IN ('integer', 'real') AND score BETWEEN -9007199254740992 AND 9007199254740992
        ), "reached_at" INTEGER NOT NULL DEFAULT 0, "meta" TEXT, "rules" INTEGER NOT NULL DEFAULT 0, "merit" REAL, "hidden" INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (board, id)
    ) WITHOUT ROWID;
CREATE TABLE tombstones (board TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE made_since (
        board TEXT NOT NULL, player TEXT NOT NULL, PRIMARY KEY (board, player)
    ) WITHOUT ROWID;
CREATE TABLE store_identity (
        one INTEGER PRIMARY KEY CHECK (one = 1), identity TEXT NOT NULL
    );
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    board TEXT NOT NULL,
    player TEXT NOT NULL,
    before
);
CREATE TABLE outcomes (
        n INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        request TEXT NOT NULL,
        at INTEGER NOT NULL,
        size INTEGER NOT NULL,
        outcome BLOB NOT NULL
    );
CREATE INDEX standing ON players (board, merit, reached_at, id);
CREATE INDEX hidden_players ON players (board, id) WHERE hidden IS 1;
CREATE TRIGGER board_made BEFORE INSERT ON boards
WHEN NOT EXISTS (SELECT 1 FROM boards WHERE id = NEW.id) BEGIN
    INSERT INTO changes (board, player, before) VALUES (NEW.id, '', 2);
    INSERT INTO changes (board, player) SELECT p.board, p.id FROM players p
        WHERE p.board = (SELECT NEW.id WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE board = NEW.id));
END;
CREATE TRIGGER board_inserted AFTER INSERT ON boards BEGIN
    UPDATE players SET rules = (SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.id),
            reached_at = reached_at * (NEW.ties IS 'first'),
            merit = CASE WHEN (players.score BETWEEN -1.7976931348623157e+308 AND 1.7976931348623157e+308 AND (typeof(players.id) = 'text' AND length(players.id) BETWEEN 1 AND 64 AND players.id NOT GLOB '*[^A-Za-z0-9._~-]*' AND players.id NOT IN ('.', '..') AND length(CAST(players.id AS BLOB)) = length(players.id))) AND NOT players.hidden IS 1 THEN CAST(CASE ((SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.id)) & 1 WHEN 0 THEN 0 - players.score ELSE players.score END AS REAL) END
        WHERE rules IS NOT (SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.id) AND board = (SELECT NEW.id WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE board = NEW.id));

    UPDATE players SET rules = (SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.id),
            reached_at = reached_at * (NEW.ties IS 'first'),
            merit = CASE WHEN (players.score BETWEEN -1.7976931348623157e+308 AND 1.7976931348623157e+308 AND (typeof(players.id) = 'text' AND length(players.id) BETWEEN 1 AND 64 AND players.id NOT GLOB '*[^A-Za-z0-9._~-]*' AND players.id NOT IN ('.', '..') AND length(CAST(players.id AS BLOB)) = length(players.id))) AND NOT players.hidden IS 1 THEN CAST(CASE ((SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.id)) & 1 WHEN 0 THEN 0 - players.score ELSE players.score END AS REAL) END
        WHERE rules IS NOT (SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.id) AND board = NEW.id
            AND id IN (SELECT player FROM made_since WHERE board = NEW.id);

    INSERT INTO changes (board, player) VALUES (NEW.id, '');
END;
CREATE TRIGGER board_updated AFTER UPDATE ON boards WHEN (OLD."id" IS NOT NEW."id" OR OLD."name" IS NOT NEW."name" OR OLD."order" IS NOT NEW."order" OR OLD."ties" IS NOT NEW."ties" OR OLD."operator" IS NOT NEW."operator" OR OLD."top" IS NOT NEW."top" OR OLD."min" IS NOT NEW."min" OR OLD."max" IS NOT NEW."max" OR OLD."meta" IS NOT NEW."meta" OR OLD."show" IS NOT NEW."show" OR OLD."private" IS NOT NEW."private") BEGIN
    INSERT INTO changes (board, player) VALUES (NEW.id, '');
END;
CREATE TRIGGER board_renamed AFTER UPDATE OF id ON boards WHEN (OLD."id" IS NOT NEW."id") BEGIN
    INSERT INTO changes (board, player, before) VALUES
        (OLD.id, '', 1), (NEW.id, '', 1);
    INSERT INTO changes (board, player, before) VALUES (NEW.id, '', 2);
    INSERT INTO changes (board, player) SELECT p.board, p.id FROM players p
        WHERE p.board = (SELECT NEW.id WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE board = NEW.id));
END;
CREATE TRIGGER board_ruled AFTER UPDATE OF id, "order", ties ON boards WHEN (OLD."id" IS NOT NEW."id" OR OLD."order" IS NOT NEW."order" OR OLD."ties" IS NOT NEW."ties")
BEGIN
    UPDATE players SET rules = (SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.id),
            reached_at = reached_at * (NEW.ties IS 'first'),
            merit = CASE WHEN (players.score BETWEEN -1.7976931348623157e+308 AND 1.7976931348623157e+308 AND (typeof(players.id) = 'text' AND length(players.id) BETWEEN 1 AND 64 AND players.id NOT GLOB '*[^A-Za-z0-9._~-]*' AND players.id NOT IN ('.', '..') AND length(CAST(players.id AS BLOB)) = length(players.id))) AND NOT players.hidden IS 1 THEN CAST(CASE ((SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.id)) & 1 WHEN 0 THEN 0 - players.score ELSE players.score END AS REAL) END
        WHERE rules IS NOT (SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.id) AND board = (SELECT NEW.id WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE board = NEW.id));

    UPDATE players SET rules = (SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.id),
            reached_at = reached_at * (NEW.ties IS 'first'),
            merit = CASE WHEN (players.score BETWEEN -1.7976931348623157e+308 AND 1.7976931348623157e+308 AND (typeof(players.id) = 'text' AND length(players.id) BETWEEN 1 AND 64 AND players.id NOT GLOB '*[^A-Za-z0-9._~-]*' AND players.id NOT IN ('.', '..') AND length(CAST(players.id AS BLOB)) = length(players.id))) AND NOT players.hidden IS 1 THEN CAST(CASE ((SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.id)) & 1 WHEN 0 THEN 0 - players.score ELSE players.score END AS REAL) END
        WHERE rules IS NOT (SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.id) AND board = NEW.id
            AND id IN (SELECT player FROM made_since WHERE board = NEW.id);
END;
CREATE TRIGGER board_deleted AFTER DELETE ON boards BEGIN
    DELETE FROM made_since WHERE board = OLD.id;
    INSERT INTO tombstones (board) SELECT OLD.id
        WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE board = OLD.id) AND 1000 < (
            SELECT count(*) FROM (
                SELECT 1 FROM players WHERE board = OLD.id LIMIT 1001
            )
        );
    DELETE FROM players WHERE board = (SELECT OLD.id WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE board = OLD.id));
    INSERT INTO changes (board, player, before) VALUES (OLD.id, '', 1);
END;
CREATE TRIGGER player_displaces BEFORE INSERT ON players
WHEN EXISTS (SELECT 1 FROM tombstones WHERE board = NEW.board) AND NOT EXISTS (SELECT 1 FROM made_since WHERE board = NEW.board AND player = NEW.id) BEGIN
    DELETE FROM players WHERE board = NEW.board AND id = NEW.id;
    INSERT INTO made_since (board, player) VALUES (NEW.board, NEW.id);
END;
CREATE TRIGGER player_replaces BEFORE INSERT ON players WHEN EXISTS (SELECT 1 FROM players p WHERE p.board = NEW.board AND p.id = NEW.id) AND (NOT EXISTS (SELECT 1 FROM tombstones WHERE board = NEW.board) OR EXISTS (SELECT 1 FROM made_since WHERE board = NEW.board AND player = NEW.id)) BEGIN
    INSERT INTO changes (board, player, before)
        SELECT p.board, p.id, CASE WHEN NOT p.hidden IS 1 THEN p.score END FROM players p
        WHERE p.board = NEW.board AND p.id = NEW.id;
END;
CREATE TRIGGER player_inserted AFTER INSERT ON players BEGIN
    INSERT INTO changes (board, player) VALUES (NEW.board, NEW.id);
    UPDATE players SET rules = coalesce((SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.board), 0),
            reached_at = CASE WHEN coalesce((SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.board), 0) & 2 = 0 THEN 0
                WHEN typeof(NEW.reached_at) = 'integer' AND NEW.reached_at <> 0 THEN NEW.reached_at
                ELSE CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER) END,
            merit = CASE WHEN (NEW.score BETWEEN -1.7976931348623157e+308 AND 1.7976931348623157e+308 AND (typeof(NEW.id) = 'text' AND length(NEW.id) BETWEEN 1 AND 64 AND NEW.id NOT GLOB '*[^A-Za-z0-9._~-]*' AND NEW.id NOT IN ('.', '..') AND length(CAST(NEW.id AS BLOB)) = length(NEW.id))) AND NOT NEW.hidden IS 1 THEN CAST(CASE (coalesce((SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.board), 0)) & 1 WHEN 0 THEN 0 - NEW.score ELSE NEW.score END AS REAL) END
        WHERE board = NEW.board AND id = NEW.id AND (
            NEW.rules IS NOT coalesce((SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.board), 0) OR typeof(NEW.reached_at) <> 'integer'
            OR NEW.merit IS NOT CASE WHEN NOT NEW.hidden IS 1 THEN CAST(CASE (NEW.rules) & 1 WHEN 0 THEN 0 - NEW.score ELSE NEW.score END AS REAL) END
        );
END;
CREATE TRIGGER player_moves BEFORE UPDATE OF board, id ON players
WHEN (OLD."board" IS NOT NEW."board" OR OLD."id" IS NOT NEW."id") AND EXISTS (SELECT 1 FROM tombstones WHERE board = NEW.board) AND NOT EXISTS (SELECT 1 FROM made_since WHERE board = NEW.board AND player = NEW.id)
BEGIN
    DELETE FROM players WHERE board = NEW.board AND id = NEW.id;
    INSERT INTO made_since (board, player) VALUES (NEW.board, NEW.id);
END;
CREATE TRIGGER player_moves_over BEFORE UPDATE OF board, id ON players
WHEN (OLD."board" IS NOT NEW."board" OR OLD."id" IS NOT NEW."id") AND EXISTS (SELECT 1 FROM players p WHERE p.board = NEW.board AND p.id = NEW.id) AND (NOT EXISTS (SELECT 1 FROM tombstones WHERE board = NEW.board) OR EXISTS (SELECT 1 FROM made_since WHERE board = NEW.board AND player = NEW.id)) BEGIN
    INSERT INTO changes (board, player, before)
        SELECT p.board, p.id, CASE WHEN NOT p.hidden IS 1 THEN p.score END FROM players p
        WHERE p.board = NEW.board AND p.id = NEW.id;
END;
CREATE TRIGGER player_moved AFTER UPDATE OF board, id ON players WHEN (OLD."board" IS NOT NEW."board" OR OLD."id" IS NOT NEW."id") BEGIN
    INSERT INTO changes (board, player, before) SELECT OLD.board, OLD.id, CASE WHEN NOT OLD.hidden IS 1 THEN OLD.score END
        WHERE (NOT EXISTS (SELECT 1 FROM tombstones WHERE board = OLD.board) OR EXISTS (SELECT 1 FROM made_since WHERE board = OLD.board AND player = OLD.id));
    INSERT INTO changes (board, player) VALUES (NEW.board, NEW.id);
    UPDATE players SET rules = coalesce((SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.board), 0),
            reached_at = CASE WHEN coalesce((SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.board), 0) & 2 = 0 THEN 0
                WHEN typeof(NEW.reached_at) = 'integer' AND NEW.reached_at <> 0 THEN NEW.reached_at
                ELSE CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER) END,
            merit = CASE WHEN (NEW.score BETWEEN -1.7976931348623157e+308 AND 1.7976931348623157e+308 AND (typeof(NEW.id) = 'text' AND length(NEW.id) BETWEEN 1 AND 64 AND NEW.id NOT GLOB '*[^A-Za-z0-9._~-]*' AND NEW.id NOT IN ('.', '..') AND length(CAST(NEW.id AS BLOB)) = length(NEW.id))) AND NOT NEW.hidden IS 1 THEN CAST(CASE (coalesce((SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.board), 0)) & 1 WHEN 0 THEN 0 - NEW.score ELSE NEW.score END AS REAL) END
        WHERE board = NEW.board AND id = NEW.id AND (
            NEW.rules IS NOT coalesce((SELECT (b."order" IS 'asc') * 1 + (b.ties IS 'first') * 2 FROM boards b WHERE b.id = NEW.board), 0) OR typeof(NEW.reached_at) <> 'integer'
            OR NEW.merit IS NOT CASE WHEN NOT NEW.hidden IS 1 THEN CAST(CASE (NEW.rules) & 1 WHEN 0 THEN 0 - NEW.score ELSE NEW.score END AS REAL) END
        );
END;
CREATE TRIGGER player_updated AFTER UPDATE OF name, score, reached_at, meta, hidden ON players
WHEN (OLD."name" IS NOT NEW."name" OR OLD."score" IS NOT NEW."score" OR OLD."reached_at" IS NOT NEW."reached_at" OR OLD."meta" IS NOT NEW."meta" OR OLD."hidden" IS NOT NEW."hidden") AND NOT (OLD."board" IS NOT NEW."board" OR OLD."id" IS NOT NEW."id")
    AND (NOT EXISTS (SELECT 1 FROM tombstones WHERE board = NEW.board) OR EXISTS (SELECT 1 FROM made_since WHERE board = NEW.board AND player = NEW.id)) BEGIN
    INSERT INTO changes (board, player, before)
        VALUES (NEW.board, NEW.id, CASE WHEN NOT OLD.hidden IS 1 THEN OLD.score END);
    UPDATE players SET reached_at = CASE WHEN typeof(NEW.reached_at) <> 'integer' THEN 0
                WHEN (NEW.rules & 2 AND OLD.score IS NOT NEW.score AND OLD.reached_at IS NEW.reached_at) THEN CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER) ELSE NEW.reached_at END,
            merit = CASE WHEN (NEW.score BETWEEN -1.7976931348623157e+308 AND 1.7976931348623157e+308 AND (typeof(NEW.id) = 'text' AND length(NEW.id) BETWEEN 1 AND 64 AND NEW.id NOT GLOB '*[^A-Za-z0-9._~-]*' AND NEW.id NOT IN ('.', '..') AND length(CAST(NEW.id AS BLOB)) = length(NEW.id))) AND NOT NEW.hidden IS 1 THEN CAST(CASE (NEW.rules) & 1 WHEN 0 THEN 0 - NEW.score ELSE NEW.score END AS REAL) END
        WHERE board = NEW.board AND id = NEW.id AND (
            typeof(NEW.reached_at) <> 'integer' OR (NEW.rules & 2 AND OLD.score IS NOT NEW.score AND OLD.reached_at IS NEW.reached_at)
            OR NEW.merit IS NOT CASE WHEN NOT NEW.hidden IS 1 THEN CAST(CASE (NEW.rules) & 1 WHEN 0 THEN 0 - NEW.score ELSE NEW.score END AS REAL) END
        );
END;
CREATE TRIGGER player_deleted AFTER DELETE ON players
WHEN EXISTS (SELECT 1 FROM boards WHERE id = OLD.board) AND (NOT EXISTS (SELECT 1 FROM tombstones WHERE board = OLD.board) OR EXISTS (SELECT 1 FROM made_since WHERE board = OLD.board AND player = OLD.id)) BEGIN
    INSERT INTO changes (board, player, before)
        VALUES (OLD.board, OLD.id, CASE WHEN NOT OLD.hidden IS 1 THEN OLD.score END);
END;
CREATE TRIGGER changes_kept AFTER INSERT ON changes WHEN NEW.seq % 10000 = 0 BEGIN
    DELETE FROM changes WHERE seq <= NEW.seq - 400000;
END;
INSERT INTO store_identity VALUES (1, 'aabbccdd');
PRAGMA application_id = 0x54425244;
PRAGMA user_version = 4;
PRAGMA journal_mode = WAL;
