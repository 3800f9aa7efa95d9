import { lazy, useEffect, useRef, useState } from "react";
import { Part } from "../Part.jsx";
import { date } from "../texts.js";
import { say } from "./texts.js";
import "./seasons.css";

const SeasonsDialog = lazy(() => import("./SeasonsDialog.jsx"));

/** For how long it is told that a season is over. */
const TOLD_FOR = 60_000;

/** The season that the address names, so that it can be passed on; 0 for none. */
const inAddress = () => Number(/^[1-9]\d{0,8}$/.exec(new URLSearchParams(location.search).get("season") ?? "") ?? 0);

function toAddress(number) {
  const query = new URLSearchParams(location.search);
  if (number) query.set("season", String(number));
  else query.delete("season");
  history.replaceState(history.state, "", `?${query}`);
}

/** The season of a board that has any, with the way to those that are over. */
export default function Seasons({ board, me }) {
  const season = board?.season;
  const ended = useEnded(board);
  const [shown, setShown] = useState(() => inAddress() || null); // 0: the newest that is over
  const show = (number) => {
    setShown(number);
    toAddress(number);
  };
  if (!season) return null;
  return (
    <div className="seasons">
      <button type="button" onClick={() => show(0)}>
        {say("season", { number: String(season.number) })}
        {season.ends && <span className="soft"> {say("until", { end: date(season.ends) })}</span>}
      </button>
      <p role="status">
        {ended > 0 && (
          <>
            {say("over", { number: String(ended) })}{" "}
            <button type="button" onClick={() => show(ended)}>
              {say("final")}
            </button>
          </>
        )}
      </p>
      {shown !== null && (
        <Part>
          <SeasonsDialog board={board.id} me={me} number={shown} onShow={show} onClose={() => show(null)} />
        </Part>
      )}
    </div>
  );
}

/** The season that has just ended while the board was watched; 0 for none. */
function useEnded(board) {
  const [ended, setEnded] = useState(0);
  const before = useRef({ id: "", number: 0 });
  const id = board?.id ?? "";
  const number = board?.season?.number ?? 0;
  useEffect(() => {
    const was = before.current;
    before.current = { id, number };
    setEnded(was.id === id && was.number > 0 && number > was.number ? number - 1 : 0);
  }, [id, number]);
  useEffect(() => {
    if (!ended) return undefined;
    const timer = setTimeout(() => setEnded(0), TOLD_FOR);
    return () => clearTimeout(timer);
  }, [ended]);
  return ended;
}
