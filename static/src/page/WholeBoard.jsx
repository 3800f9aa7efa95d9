import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { boards } from "./place.js";
import { number, text } from "./texts.js";
import { ROW, append, heightOf, inSight, open, prepend, wanted } from "./window.js";

/** How many players are read at once. */
const LIMIT = 100;
/** The least time between a failure and the next try. */
const PAUSE = 3_000;

/**
 * Everybody on the board, in a list that draws only what is in sight; from `around`, a player, on, if
 * given.
 */
export default function WholeBoard({ board, me, around, onClose }) {
  const dialog = useRef(null);
  const box = useRef(null);
  const busy = useRef(false);
  const [ranking, setRanking] = useState(null);
  const [view, setView] = useState(null); // what is in sight, once the list is there
  const [trouble, setTrouble] = useState("");

  const read = useCallback(
    async (which, change) => {
      if (busy.current) return;
      busy.current = true;
      try {
        const page = await boards.page(board, { limit: LIMIT, ...which }, { retries: 1 });
        if (page.players.length > 0 || page.count === 0) setRanking((now) => change(page, now));
        setTrouble("");
      } catch (error) {
        setTrouble(error.message);
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      } finally {
        busy.current = false;
      }
    },
    [board],
  );

  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  useEffect(() => {
    void read(around ? { around } : {}, (page) => open(page));
  }, [read, around]);

  // Begin where the player stands.
  const begun = useRef(false);
  useLayoutEffect(() => {
    if (!ranking || begun.current || !box.current) return;
    begun.current = true;
    const index = ranking.pages[0].players.findIndex(({ id }) => id === around);
    const { clientHeight } = box.current;
    if (index >= 0) box.current.scrollTop = ranking.top + index * ROW - clientHeight / 2;
    setView({ top: box.current.scrollTop, height: clientHeight });
  }, [ranking, around]);

  useEffect(() => {
    if (!ranking || !view) return;
    const next = wanted(ranking, view.top, view.height);
    if (!next) return;
    if ("next" in next) void read({ address: next.next }, (page, now) => append(now, page));
    else if ("prev" in next) void read({ address: next.prev }, (page, now) => prepend(now, page));
    else void read(next, (page) => open(page, view.top));
  }, [ranking, view, read, trouble]);

  const onScroll = () => {
    const { scrollTop, clientHeight } = box.current;
    setView({ top: scrollTop, height: clientHeight });
  };

  return (
    <dialog className="whole" ref={dialog} aria-labelledby="whole" onClose={onClose}>
      <header>
        <h2 id="whole">{text("whole")}</h2>
        {ranking && <span className="soft">{text("whole_count", { count: ranking.count })}</span>}
        <button type="button" onClick={() => dialog.current?.close()}>
          {text("close")}
        </button>
      </header>
      {trouble && <p role="alert">{trouble}</p>}
      <div className="scroll" ref={box} onScroll={onScroll} tabIndex={0} role="region" aria-label={text("players")}>
        <ol role="list" style={{ height: ranking ? heightOf(ranking) : 0 }} aria-busy={!ranking}>
          {ranking &&
            view &&
            inSight(ranking, view.top, view.height).map(({ player, index, top }) => (
              <li
                key={player.id}
                className={player.id === me ? "mine" : player.id === around ? "sought" : undefined}
                aria-posinset={index + 1}
                aria-setsize={ranking.count}
                aria-current={player.id === me || undefined}
                style={{ transform: `translateY(${top}px)` }}
              >
                <span className="place">{number(player.rank)}</span>
                <span className="who" dir="auto">
                  {player.name}
                </span>
                <span className="sum">{number(player.score)}</span>
              </li>
            ))}
        </ol>
      </div>
    </dialog>
  );
}
