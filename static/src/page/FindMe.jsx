import { lazy, memo, useState } from "react";
import { Part } from "./Part.jsx";
import { Search } from "./Search.jsx";
import { usePlace } from "./place.js";
import { say as season } from "./seasons/texts.js";
import { number, text } from "./texts.js";

const WholeBoard = lazy(() => import("./WholeBoard.jsx"));

/** One's own place, live, with the gap to the next; and the way to everybody's. */
export default memo(FindMe);

function FindMe({ board, me, onMe, onSaid, onTrouble }) {
  const place = usePlace(board, me);
  const [whole, setWhole] = useState(null); // the player around whom it is, "" for the best
  const here = me && place && place !== "nobody" ? me : "";
  return (
    <section className="panel me" aria-labelledby="me">
      <h2 id="me">{text(me ? "my_place" : "find_me")}</h2>
      {me && <Place place={place} me={me} />}
      <Search
        board={board}
        me={me}
        onMe={onMe}
        onOpen={setWhole}
        onSaid={onSaid}
        onTrouble={onTrouble}
      />
      <p className="me-buttons">
        <button type="button" onClick={() => setWhole(here)}>
          {text(here ? "whole_me" : "whole")}
        </button>
        {me && (
          <button type="button" onClick={() => onMe("")}>
            {text("not_me")}
          </button>
        )}
      </p>
      {whole !== null && (
        <Part>
          <WholeBoard board={board} me={here} around={whole} onClose={() => setWhole(null)} />
        </Part>
      )}
    </section>
  );
}

function Place({ place, me }) {
  if (!place) return <p aria-busy="true">{text("looking_for", { id: me })}</p>;
  if (place === "nobody") return <p>{text("not_here", { id: me })}</p>;
  if (place.rank === null) return <p>{season("unranked")}</p>;
  const { score, to_next } = place;
  return (
    <p className="my-place">
      <strong>
        {number(place.rank)}
        <span className="soft"> {text("rank_of", { of: place.of })}</span>
      </strong>
      <span className="name" dir="auto">
        {place.name}
      </span>
      <span className="soft">
        {to_next === null ? text("in_lead", { score }) : text("to_next", { score, points: to_next })}
      </span>
    </p>
  );
}
