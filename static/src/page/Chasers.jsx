import { useEffect, useRef } from "react";
import { PointButton } from "./PointButton.jsx";
import { getPlayer } from "./api.js";
import { number, text } from "./texts.js";

/** How often players below the top are asked for: no event tells of them. */
const ASK_EVERY = 5_000;
/** The newest ones stay. */
const MOST = 5;

/** The players added on this page that are not among the best. */
export default function Chasers({ board, top, chasing, onChange, onPoint }) {
  const below = chasing.filter(({ id }) => !top.some((player) => player.id === id)).slice(-MOST);
  const ids = below.map(({ id }) => id).join(" ");
  const latest = useRef(onChange);
  latest.current = onChange;

  useEffect(() => {
    if (!ids) return undefined;
    const gone = new AbortController();
    const ask = () => {
      if (document.hidden) return;
      for (const id of ids.split(" ")) {
        getPlayer(board, id, gone.signal).then(
          (player) => latest.current((now) => now.map((one) => (one.id === id ? player : one))),
          (error) => {
            if (error.status === 404) latest.current((now) => now.filter((one) => one.id !== id));
          },
        );
      }
    };
    const timer = setInterval(ask, ASK_EVERY);
    return () => {
      gone.abort();
      clearInterval(timer);
    };
  }, [board, ids]);

  if (below.length === 0) return null;
  const last = top.at(-1);
  return (
    <section className="chasers" aria-labelledby="chasers">
      <h2 id="chasers">{text("chasing")}</h2>
      <ul>
        {below.map((player) => (
          <li key={player.id}>
            <span className="rank">{number(player.rank)}</span>
            <span className="name" dir="auto">
              {player.name}
            </span>
            <span className="gap">
              {last && last.score > player.score
                ? text("to_top", {
                    score: player.score,
                    points: last.score - player.score,
                    top: top.length,
                  })
                : number(player.score)}
            </span>
            <PointButton player={player} onPoint={onPoint} />
          </li>
        ))}
      </ul>
    </section>
  );
}
