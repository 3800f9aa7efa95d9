import { lazy, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Announcer } from "./Announcer.jsx";
import { Boards, addressOf } from "./Boards.jsx";
import { OpenButton, ThemeButton, WallButton } from "./Display.jsx";
import { Part } from "./Part.jsx";
import { ReadOnly } from "./ReadOnly.jsx";
import { Standings } from "./Standings.jsx";
import { State } from "./State.jsx";
import { getBoards } from "./api.js";
import { coloursOf } from "../colours.js";
import { amongSeveral, boardInAddress, firstBoard } from "./firstBoard.js";
import { useMe } from "./me.js";
import { pointAdder } from "./points.js";
import { canManage, isRefusal, useReadOnly } from "./readOnly.js";
import { addressToShare } from "./share.js";
import { text } from "./texts.js";
import { useBoard } from "./useBoard.js";
import { useRanksBefore } from "./useRanksBefore.js";
import { useToken } from "./useToken.js";
import { useWall } from "./useWall.js";
import { wallIn } from "./wall.js";

/** What the first rows can do without. */
const AddPlayer = lazy(() => import("./AddPlayer.jsx"));
const Admin = lazy(() => import("./admin/Admin.jsx"));
const Chart = lazy(() => import("./Chart.jsx"));
const Chasers = lazy(() => import("./Chasers.jsx"));
const Code = lazy(() => import("./Code.jsx"));
const FindMe = lazy(() => import("./FindMe.jsx"));
const NoBoard = lazy(() => import("./NoBoard.jsx"));
const Scrubber = lazy(() => import("./Scrubber.jsx"));
const Seasons = lazy(() => import("./seasons/Seasons.jsx"));
const Share = lazy(() => import("./Share.jsx"));

/** How often the list of boards is read again while the page is shown. */
const BOARDS_EVERY = 30_000;
/** How many of the players added here are remembered. */
const CHASING = 20;
const TROUBLE_SHOWN_FOR = 8_000;

export function App() {
  const [boards, setBoards] = useState(null);
  const [chosen, setChosen] = useState(boardInAddress);
  const [first] = useState(() => firstBoard()?.id ?? "");
  const id = chosen || (boards ? (boards[0]?.id ?? "") : first);
  const { board, state, snapshots, ahead, updated, lost } = useBoard(id);
  const [chasing, setChasing] = useState([]);
  const [readOnly, refused] = useReadOnly();
  const [trouble, setTrouble] = useTrouble();
  const onTrouble = useCallback(
    (text, error) => {
      if (!refused(error)) setTrouble(text);
    },
    [refused, setTrouble],
  );
  const [said, tell] = useState("");
  const [past, setPast] = useState(null); // what is shown in place of the present
  const was = past?.board;
  const colourOf = useMemo(
    () => coloursOf([...(board?.players ?? []), ...(was?.players ?? [])]),
    [board, was],
  );
  const before = useRanksBefore(id, board?.players.length ?? 0, ahead);

  const held = useToken();
  const [shut, setShut] = useState(false); // the list of boards is not for everybody
  const readBoards = useCallback(
    () =>
      getBoards().then(
        (list) => {
          setBoards(list);
          setShut(false);
        },
        (error) => {
          setShut(isRefusal(error));
          if (isRefusal(error)) setBoards(null); // what a token had opened
        },
      ),
    [],
  );
  useEffect(() => {
    void readBoards();
    const timer = setInterval(() => document.hidden || readBoards(), BOARDS_EVERY);
    return () => clearInterval(timer);
  }, [readBoards, held]);
  // The first read may have met a server that was not there.
  useEffect(() => {
    if (state === "live" || state === "polling") void readBoards();
  }, [state, readBoards]);

  useEffect(() => {
    const onBack = () => setChosen(boardInAddress());
    addEventListener("popstate", onBack);
    return () => removeEventListener("popstate", onBack);
  }, []);
  const choose = useCallback((next) => {
    history.pushState(null, "", addressOf(next));
    setChosen(next);
  }, []);
  const [me, setMe] = useMe();
  useWall(id, (next) => {
    history.replaceState(null, "", addressOf(next));
    setChosen(next);
  });

  const [opened, setOpened] = useState(""); // the dialog that is open
  const [code] = useState(() => wallIn(location.search).code);

  useEffect(() => setChasing([]), [id]);
  useEffect(() => {
    const name = board?.name ?? boards?.find((one) => one.id === id)?.name;
    document.title = name ? `${name} · tornado_board` : "tornado_board";
  }, [board?.name, boards, id]);

  // Whoever leads lights the room.
  const leader = board?.players[0];
  const light = leader ? colourOf(leader.id) : "transparent";
  useEffect(() => document.documentElement.style.setProperty("--leader", light), [light]);

  const adder = usePoints(id, onTrouble, tell, setChasing);
  const add = readOnly ? undefined : adder;
  const players = board?.players ?? [];
  const name = board?.name ?? boards?.find((one) => one.id === id)?.name ?? id;
  // Of very many boards not all are listed; the one that is shown always is.
  const shownId = board?.id ?? "";
  const tabs = useMemo(() => {
    const unlisted = boards && shownId && !boards.some((one) => one.id === shownId);
    return unlisted ? [{ id: shownId, name }, ...boards] : (boards ?? []);
  }, [boards, shownId, name]);
  const onAdded = useCallback(
    (player) => {
      setChasing((now) => [...now, player].slice(-CHASING));
      tell(text("said_added", { name: player.name, rank: player.rank }));
      if (!me) setMe(player.id);
    },
    [me, setMe],
  );

  return (
    <>
      <header className="top">
        <h1 dir="auto">{name || "tornado_board"}</h1>
        <State
          state={id ? state : shut ? "refused" : "connecting"}
          updated={updated}
          lost={id ? lost : null}
        />
        <div className="display">
          {canManage() && <OpenButton name="manage" onOpen={() => setOpened("manage")} />}
          {id && <OpenButton name="share" onOpen={() => setOpened("share")} />}
          <WallButton />
          <ThemeButton />
        </div>
        {boards === null && amongSeveral ? (
          <div className="boards" />
        ) : (
          <Boards boards={tabs} chosen={id} onChoose={choose} />
        )}
      </header>
      <main>
        {shut && !id ? (
          <Private onOpen={() => setOpened("manage")}>{text("boards_private")}</Private>
        ) : boards?.length === 0 && !chosen && readOnly ? (
          <p className="empty">{text("no_boards")}</p>
        ) : boards?.length === 0 && !chosen ? (
          <Part>
            <NoBoard
              onAdded={(added) => {
                setBoards([added]);
                choose(added.id);
              }}
              onTrouble={onTrouble}
            />
          </Part>
        ) : state === "missing" ? (
          <p className="empty">{text("board_missing", { id })}</p>
        ) : state === "refused" ? (
          <Private onOpen={() => setOpened("manage")}>{text("board_private", { id })}</Private>
        ) : (
          <>
            <section
              className="standings"
              aria-label={text(was ? "standings_past" : "standings")}
              data-past={Boolean(was) || undefined}
            >
              {was ? (
                <Standings board={was} colourOf={colourOf} />
              ) : past ? (
                <p className="empty">
                  {text(past.failed ? "past_failed" : "past_unknown")}
                </p>
              ) : (
                <Standings board={board} before={before} colourOf={colourOf} onPoint={add} />
              )}
              {board && (
                <Part fallback={<div className="scrubber" />}>
                  <Scrubber board={id} ahead={ahead} onPast={setPast} />
                </Part>
              )}
              {board?.season && (
                <Part>
                  <Seasons key={id} board={board} me={me} />
                </Part>
              )}
              {chasing.length > 0 && (
                <Part>
                  <Chasers
                    board={id}
                    top={players}
                    chasing={chasing}
                    onChange={setChasing}
                    onPoint={add}
                  />
                </Part>
              )}
            </section>
            <aside className="side">
              <Part fallback={<section className="panel chart" aria-hidden="true" />}>
                <Chart key={id} players={players} snapshots={snapshots} ahead={ahead} colourOf={colourOf} />
              </Part>
              {readOnly ? (
                <ReadOnly />
              ) : (
                <Part fallback={<div className="panel join" aria-hidden="true" />}>
                  <AddPlayer board={id} onAdded={onAdded} onTrouble={onTrouble} />
                </Part>
              )}
              <Part fallback={<div className="panel me" aria-hidden="true" />}>
                <FindMe board={id} me={me} onMe={setMe} onSaid={tell} onTrouble={onTrouble} />
              </Part>
              {code && (
                <div className="wall-code">
                  <Part>
                    <Code address={addressToShare(id)} />
                  </Part>
                </div>
              )}
            </aside>
          </>
        )}
      </main>
      {opened === "share" && (
        <Part>
          <Share board={id} name={name} onClose={() => setOpened("")} />
        </Part>
      )}
      {opened === "manage" && (
        <Part>
          <Admin
            board={id}
            onClose={() => setOpened("")}
            onChoose={(next) => next !== id && choose(next)}
            onChanged={readBoards}
          />
        </Part>
      )}
      <p className="trouble" role="alert">
        {trouble}
      </p>
      <Announcer board={board} state={state} updated={updated} said={said} />
    </>
  );
}

/** Says that reading needs a token, which is entered where boards are managed. */
function Private({ children, onOpen }) {
  return (
    <div className="empty private">
      <p>{children}</p>
      {canManage() && (
        <p className="me-buttons">
          <button type="button" aria-haspopup="dialog" onClick={onOpen}>
            {text("enter_token")}
          </button>
        </p>
      )}
    </div>
  );
}

/** A message that goes away by itself. */
function useTrouble() {
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    if (!trouble) return undefined;
    const timer = setTimeout(() => setTrouble(""), TROUBLE_SHOWN_FOR);
    return () => clearTimeout(timer);
  }, [trouble]);
  return [trouble, setTrouble];
}

/** A function that adds a point to the player of an id. */
function usePoints(board, onTrouble, onSaid, setChasing) {
  const adder = useRef(null);
  useEffect(() => {
    adder.current = pointAdder(board, {
      added(player) {
        onSaid(text("said_score", { name: player.name, score: player.score }));
        setChasing((now) => now.map((one) => (one.id === player.id ? { ...one, ...player } : one)));
      },
      failed(error) {
        onTrouble(text("point_failed", { reason: error.message }), error);
      },
    });
  }, [board, onTrouble, onSaid, setChasing]);
  return useCallback((player) => adder.current?.(player), []);
}
