import { useEffect, useRef, useState } from "react";
import { boards } from "../place.js";
import { date, number as written, text } from "../texts.js";
import { say } from "./texts.js";

/** How many players, and seasons, are read at once. */
const PLAYERS = 50;
const SEASONS = 12;

/** The seasons of a board that are over, and the ranking of the chosen one. */
export default function SeasonsDialog({ board, me, number, onShow, onClose }) {
  const dialog = useRef(null);
  const list = useSeasons(board);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const over = list.seasons.filter(({ ended }) => ended);
  const chosen = number || over[0]?.number || 0;
  return (
    <dialog className="seasons-dialog" ref={dialog} aria-labelledby="seasons" onClose={onClose}>
      <header>
        <h2 id="seasons">{say("all")}</h2>
        <button type="button" onClick={() => dialog.current?.close()}>
          {text("close")}
        </button>
      </header>
      {list.trouble && <p role="alert">{list.trouble}</p>}
      {list.read && over.length === 0 && <p>{say("none")}</p>}
      <nav aria-label={say("all")} aria-busy={!list.read}>
        <ul role="list">
          {over.map((season) => (
            <li key={season.number}>
              <button
                type="button"
                aria-current={season.number === chosen || undefined}
                onClick={() => onShow(season.number)}
              >
                <strong>{say("season", { number: String(season.number) })}</strong>
                <span className="soft">{date(season.ended)}</span>
                <span className="winner" dir="auto">
                  {season.top[0]?.name}
                </span>
              </button>
            </li>
          ))}
          {list.more && (
            <li>
              <button type="button" onClick={list.more}>
                {say("older")}
              </button>
            </li>
          )}
        </ul>
      </nav>
      {chosen > 0 && (
        <Ranking
          key={`${board} ${chosen}`}
          board={board}
          me={me}
          number={chosen}
          season={over.find((season) => season.number === chosen)}
        />
      )}
    </dialog>
  );
}

/** The seasons of a board that were read so far, the newest first; `more` reads those before them. */
function useSeasons(board) {
  const [list, setList] = useState({ seasons: [], next: undefined, read: false, trouble: "" });
  const [wanted, setWanted] = useState({ limit: SEASONS });
  useEffect(() => {
    const gone = new AbortController();
    boards.seasons(board, wanted, { retries: 1, signal: gone.signal }).then(
      ({ seasons, next }) => {
        if (gone.signal.aborted) return;
        setList((now) => ({ seasons: [...now.seasons, ...seasons], next, read: true, trouble: "" }));
      },
      (error) => gone.signal.aborted || setList((now) => ({ ...now, trouble: error.message })),
    );
    return () => gone.abort();
  }, [board, wanted]);
  const { next } = list;
  return { ...list, more: next && (() => setWanted({ address: next })) };
}

/** A season's players, page by page, with the ranks that they had in the season before. */
function Ranking({ board, me, number, season }) {
  const [which, setWhich] = useState({});
  const [page, setPage] = useState(null);
  const [trouble, setTrouble] = useState("");
  const box = useRef(null);
  useEffect(() => {
    const gone = new AbortController();
    const query = which.address ? which : { ...which, season: number, since: "season", limit: PLAYERS };
    boards.page(board, query, { retries: 1, signal: gone.signal }).then(
      (read) => {
        if (gone.signal.aborted) return;
        setPage(read);
        setTrouble("");
        box.current?.scrollTo(0, 0);
      },
      (error) => {
        if (gone.signal.aborted) return;
        setTrouble(which.around && error.status === 404 ? say("absent", { id: which.around }) : error.message);
      },
    );
    return () => gone.abort();
  }, [board, number, which]);
  const before = page?.since?.season;
  return (
    <section aria-labelledby="season" aria-busy={!page && !trouble}>
      <h3 id="season">
        {say("season", { number: String(number) })}
        {season && (
          <span className="soft">
            {" "}
            {say("from_to", { start: date(season.started), end: date(season.ended) })}
          </span>
        )}
        {page && <span className="soft"> · {say("players", { count: page.count })}</span>}
      </h3>
      {trouble && <p role="alert">{trouble}</p>}
      {page?.count === 0 && <p>{say("nobody")}</p>}
      <ol role="list" ref={box} tabIndex={0} aria-label={text("players")}>
        {page?.players.map((player) => (
          <li
            key={player.id}
            className={player.id === me ? "mine" : undefined}
            aria-current={player.id === me || undefined}
          >
            <span className="place">{written(player.rank)}</span>
            <Moved rank={player.rank} before={player.previous_rank} season={before} />
            <span className="who" dir="auto">
              {player.name}
            </span>
            <span className="sum">{written(player.score)}</span>
          </li>
        ))}
      </ol>
      <footer>
        <button type="button" disabled={!page?.prev} onClick={() => setWhich({ address: page.prev })}>
          {say("previous")}
        </button>
        <button type="button" disabled={!page?.next} onClick={() => setWhich({ address: page.next })}>
          {say("next")}
        </button>
        {me && (
          <button type="button" onClick={() => setWhich({ around: me })}>
            {say("me")}
          </button>
        )}
      </footer>
    </section>
  );
}

/** How a rank compares with the one in the season before; nothing where there was none. */
function Moved({ rank, before, season }) {
  if (season === undefined) return <span />;
  if (before == null) return <span className="moved soft">{say("new")}</span>;
  const by = before - rank;
  const values = { count: Math.abs(by), number: String(season) };
  const told = by === 0 ? say("same", values) : say(by > 0 ? "up" : "down", values);
  return (
    <span className="moved" data-up={by > 0 || undefined} data-same={by === 0 || undefined} title={told}>
      <span aria-hidden="true">{by === 0 ? "=" : `${by > 0 ? "▲" : "▼"}${Math.abs(by)}`}</span>
      <span className="spoken">{told}</span>
    </span>
  );
}
