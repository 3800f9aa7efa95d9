import { useCallback, useEffect, useRef, useState } from "react";
import { boards } from "./place.js";
import { search } from "./search.js";
import { number, text } from "./texts.js";

/** The longest that can be sought: the longest name that can be typed here. */
const LONGEST = 60;

const inAddress = () => (new URLSearchParams(location.search).get("q") ?? "").slice(0, LONGEST);

/** The address says what is sought, so that it can be passed on. */
function tell(sought) {
  const query = new URLSearchParams(location.search);
  if (sought) query.set("q", sought);
  else query.delete("q");
  history.replaceState(null, "", `?${query}`);
}

/**
 * Finds players; `onOpen` is called with the id of one who is to be shown among all, and `onMe` with
 * that of whoever is looking.
 */
export function Search({ board, me, onMe, onOpen, onSaid, onTrouble }) {
  const [sought, setSought] = useState(inAddress);
  const [found, setFound] = useState(null);
  const under = useRef(null); // the search that is under way

  const look = useCallback(
    async (words, from) => {
      under.current?.abort();
      const mine = (under.current = new AbortController());
      try {
        const now = await search(boards, board, words, { from, signal: mine.signal });
        if (mine.signal.aborted) return;
        setFound(now);
        onSaid(result(now));
      } catch (error) {
        if (mine.signal.aborted) return;
        onTrouble(text("find_failed", { reason: error.message }), error);
      }
    },
    [board, onSaid, onTrouble],
  );

  // What another board has is another search; what the address names is sought at once.
  useEffect(() => {
    setFound(null);
    const words = inAddress().trim();
    if (words && board) void look(words);
    return () => under.current?.abort();
  }, [board, look]);

  const submit = (event) => {
    event.preventDefault();
    const words = sought.trim();
    tell(words);
    setFound(null);
    if (words) void look(words);
  };

  return (
    <>
      <form className="field find" onSubmit={submit} role="search">
        <input
          type="search"
          aria-label={text("find_what")}
          value={sought}
          onChange={(event) => {
            setSought(event.target.value);
            if (!event.target.value) {
              under.current?.abort();
              setFound(null);
              tell("");
            }
          }}
          placeholder={text("find_what")}
          autoComplete="off"
          dir="auto"
          maxLength={LONGEST}
          required
        />
        <button type="submit">{text("find")}</button>
      </form>
      {found && (
        <div className="found">
          <p className="soft">{result(found)}</p>
          <ul role="list">
            {found.players.map((player) => (
              <li key={player.id}>
                <button type="button" className="hit" onClick={() => onOpen(player.id)}>
                  <span className="place">
                    <span className="spoken">{text("rank")} </span>
                    {number(player.rank)}
                  </span>
                  <span className="who" dir="auto">
                    {player.name}
                  </span>
                  <span className="sum">{number(player.score)}</span>
                </button>
                {player.id !== me && (
                  <button
                    type="button"
                    aria-label={text("found_me_name", { name: player.name })}
                    onClick={() => onMe(player.id)}
                  >
                    {text("found_me")}
                  </button>
                )}
              </li>
            ))}
          </ul>
          {found.next && (
            <button type="button" onClick={() => void look(found.sought, found)}>
              {text("find_more")}
            </button>
          )}
        </div>
      )}
    </>
  );
}

/** What was found, in words. */
function result({ players, total: count, among, next }) {
  if (count === 0) return next ? text("found_none_among", { among }) : text("found_none");
  const told = next ? text("found_among", { count, among }) : text("found", { count });
  return count > players.length ? `${told} ${text("found_first", { count: players.length })}` : told;
}
