-- What the second version made.
CREATE TABLE boards (
        id TEXT NOT NULL PRIMARY KEY
            CHECK (length(id) BETWEEN 1 AND 64 AND id NOT GLOB '*[^A-Za-z0-9._~-]*'),
        name TEXT CHECK (name IS NULL OR typeof(name) = 'text')
    ) WITHOUT ROWID;
CREATE TABLE players (
        board TEXT NOT NULL,
        id TEXT NOT NULL CHECK (length(id) BETWEEN 1 AND 64 AND id NOT GLOB '*[^A-Za-z0-9._~-]*'),
        name TEXT NOT NULL CHECK (typeof(name) = 'text'),
        score NUMERIC NOT NULL DEFAULT 0 CHECK (
            typeof(score) IN ('integer', 'real') AND score BETWEEN -9007199254740992 AND 9007199254740992
        ),
        PRIMARY KEY (board, id)
    ) WITHOUT ROWID;
CREATE INDEX standing ON players (board, score DESC, id);
CREATE TABLE changes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        board TEXT NOT NULL,
        player TEXT NOT NULL,
        UNIQUE (board, player)
    );
CREATE INDEX strays ON players (board, score) WHERE NOT (typeof(id) = 'text' AND length(id) BETWEEN 1 AND 64 AND id NOT GLOB '*[^A-Za-z0-9._~-]*' AND id NOT IN ('.', '..') AND length(CAST(id AS BLOB)) = length(id));
CREATE TABLE tombstones (board TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE made_since (
        board TEXT NOT NULL, player TEXT NOT NULL, PRIMARY KEY (board, player)
    ) WITHOUT ROWID;
CREATE TABLE store_identity (
        one INTEGER PRIMARY KEY CHECK (one = 1), identity TEXT NOT NULL
    );
CREATE TRIGGER board_inserted AFTER INSERT ON boards BEGIN
    DELETE FROM changes WHERE board = NEW.id AND player = '';
    INSERT INTO changes (board, player) VALUES (NEW.id, '');
END;
CREATE TRIGGER board_updated AFTER UPDATE ON boards WHEN OLD.id IS NOT NEW.id OR OLD.name IS NOT NEW.name BEGIN
    DELETE FROM changes WHERE board IN (OLD.id, NEW.id) AND player = '';
    INSERT INTO changes (board, player) SELECT OLD.id, '' WHERE OLD.id IS NOT NEW.id;
    INSERT INTO changes (board, player) VALUES (NEW.id, '');
END;
CREATE TRIGGER board_deleted AFTER DELETE ON boards BEGIN
    DELETE FROM made_since WHERE board = OLD.id;
    INSERT INTO tombstones (board) SELECT OLD.id
        WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE board = OLD.id) AND 1000 < (
            SELECT count(*) FROM (
                SELECT 1 FROM players WHERE board = OLD.id LIMIT 1001
            )
        );
    DELETE FROM players WHERE board = (
        SELECT OLD.id WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE board = OLD.id)
    );
    DELETE FROM changes WHERE board = (
        SELECT OLD.id WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE board = OLD.id)
    );
    DELETE FROM changes WHERE board = OLD.id AND player = '';
    INSERT INTO changes (board, player) VALUES (OLD.id, '');
END;
CREATE TRIGGER player_displaces BEFORE INSERT ON players
WHEN EXISTS (SELECT 1 FROM tombstones WHERE board = NEW.board) AND NOT EXISTS (SELECT 1 FROM made_since WHERE board = NEW.board AND player = NEW.id) BEGIN
    DELETE FROM players WHERE board = NEW.board AND id = NEW.id;
    INSERT INTO made_since (board, player) VALUES (NEW.board, NEW.id);
END;
CREATE TRIGGER player_inserted AFTER INSERT ON players BEGIN
    DELETE FROM changes WHERE board = NEW.board AND player = NEW.id;
    INSERT INTO changes (board, player) VALUES (NEW.board, NEW.id);
END;
CREATE TRIGGER player_moves BEFORE UPDATE OF board, id ON players
WHEN (OLD.board IS NOT NEW.board OR OLD.id IS NOT NEW.id) AND EXISTS (SELECT 1 FROM tombstones WHERE board = NEW.board) AND NOT EXISTS (SELECT 1 FROM made_since WHERE board = NEW.board AND player = NEW.id)
BEGIN
    DELETE FROM players WHERE board = NEW.board AND id = NEW.id;
    INSERT INTO made_since (board, player) VALUES (NEW.board, NEW.id);
END;
CREATE TRIGGER player_updated AFTER UPDATE ON players WHEN OLD.board IS NOT NEW.board OR OLD.id IS NOT NEW.id OR OLD.name IS NOT NEW.name OR OLD.score IS NOT NEW.score BEGIN
    DELETE FROM changes WHERE board = OLD.board AND player = OLD.id;
    DELETE FROM changes WHERE board = NEW.board AND player = NEW.id;
    INSERT INTO changes (board, player) SELECT OLD.board, OLD.id
        WHERE OLD.board IS NOT NEW.board OR OLD.id IS NOT NEW.id;
    INSERT INTO changes (board, player) VALUES (NEW.board, NEW.id);
END;
CREATE TRIGGER player_deleted AFTER DELETE ON players
WHEN EXISTS (SELECT 1 FROM boards WHERE id = OLD.board)
    AND (NOT EXISTS (SELECT 1 FROM tombstones WHERE board = OLD.board) OR EXISTS (SELECT 1 FROM made_since WHERE board = OLD.board AND player = OLD.id)) BEGIN
    DELETE FROM changes WHERE board = OLD.board AND player = OLD.id;
    INSERT INTO changes (board, player) VALUES (OLD.board, OLD.id);
END;
INSERT INTO store_identity VALUES (1, 'aabbccdd');
CREATE TABLE replay (
    board TEXT NOT NULL, n INTEGER NOT NULL, ms INTEGER NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (board, n)
) WITHOUT ROWID;
CREATE INDEX replay_age ON replay (ms);
CREATE TABLE replay_heads (
    board TEXT NOT NULL PRIMARY KEY, ms INTEGER NOT NULL, n INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA application_id = 0x54425244;
PRAGMA user_version = 2;
PRAGMA journal_mode = WAL;
