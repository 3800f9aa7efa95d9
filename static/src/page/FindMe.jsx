import { Suspense, lazy, useState } from "react";
import { boards, usePlace } from "./me.js";

const WholeBoard = lazy(() => import("./WholeBoard.jsx"));

/** One's own place, live, with the gap to the next; and the way to everybody's. */
export function FindMe({ board, me, onMe, onTrouble }) {
  const place = usePlace(board, me);
  const [whole, setWhole] = useState(false);
  return (
    <section className="panel me" aria-labelledby="me">
      <h2 id="me">{me ? "Your place" : "Find me"}</h2>
      {me ? <Place place={place} me={me} /> : <Who board={board} onMe={onMe} onTrouble={onTrouble} />}
      <p className="me-buttons">
        <button type="button" onClick={() => setWhole(true)}>
          {me && place && place !== "nobody" ? "Me among all" : "The whole board"}
        </button>
        {me && (
          <button type="button" onClick={() => onMe("")}>
            Not me
          </button>
        )}
      </p>
      {whole && (
        <Suspense fallback={null}>
          <WholeBoard
            board={board}
            me={place && place !== "nobody" ? me : ""}
            onClose={() => setWhole(false)}
          />
        </Suspense>
      )}
    </section>
  );
}

function Place({ place, me }) {
  if (!place) return <p aria-busy="true">Looking for {me}</p>;
  if (place === "nobody") return <p>{me} is not on this board.</p>;
  return (
    <p className="my-place">
      <strong>
        {place.rank.toLocaleString()}
        <span className="soft"> of {place.of.toLocaleString()}</span>
      </strong>
      <span className="name" dir="auto">
        {place.name}
      </span>
      <span className="soft">
        {place.score.toLocaleString()}
        {place.to_next === null ? ", in the lead" : `, ${place.to_next.toLocaleString()} to the next`}
      </span>
    </p>
  );
}

/** Asks for the id of a player. */
function Who({ board, onMe, onTrouble }) {
  const [id, setId] = useState("");

  async function submit(event) {
    event.preventDefault();
    try {
      const player = await boards.player(board, id.trim(), { retries: 1 });
      onMe(player.id);
    } catch (error) {
      onTrouble(`${id.trim()} was not found: ${error.message}`, error);
    }
  }

  return (
    <form className="field find" onSubmit={submit}>
      <input
        aria-label="Your player's id"
        value={id}
        onChange={(event) => setId(event.target.value)}
        placeholder="Your player's id"
        autoComplete="off"
        maxLength={64}
        required
      />
      <button type="submit">Find</button>
    </form>
  );
}
