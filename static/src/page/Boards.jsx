import { useLayoutEffect, useRef, useState } from "react";
import { addBoard } from "./api.js";
import { limited } from "./names.js";
import { text } from "./texts.js";

/** The address of this page with another board. */
export function addressOf(id) {
  const query = new URLSearchParams(location.search);
  query.set("board", id);
  return `?${query}`;
}

/** The boards to choose from; nothing where there is only one. */
export function Boards({ boards, chosen, onChoose }) {
  const nav = useRef(null);
  const listed = boards.some(({ id }) => id === chosen);
  // The one that is shown is in sight, however many there are. Not by `scrollIntoView`, which
  // would move the page, too.
  useLayoutEffect(() => {
    const link = nav.current?.querySelector("[aria-current]");
    if (!link) return;
    const [strip, tab] = [nav.current.getBoundingClientRect(), link.getBoundingClientRect()];
    nav.current.scrollLeft += tab.left + tab.width / 2 - strip.left - strip.width / 2;
  }, [chosen, listed]);
  if (boards.length < 2) return null;
  return (
    <nav className="boards" aria-label={text("boards")} ref={nav}>
      <ul>
        {boards.map(({ id, name }) => (
          <li key={id}>
            <a
              href={addressOf(id)}
              dir="auto"
              aria-current={id === chosen ? "page" : undefined}
              onClick={(event) => {
                if (event.metaKey || event.ctrlKey || event.shiftKey) return; // a tab of its own
                event.preventDefault();
                onChoose(id);
              }}
            >
              {name}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** What is shown where the server has no board at all. */
export function NoBoard({ onAdded, onTrouble }) {
  const [name, setName] = useState("");

  async function submit(event) {
    event.preventDefault();
    try {
      onAdded(await addBoard(name.trim()));
    } catch (error) {
      onTrouble(text("first_board_failed", { reason: error.message }), error);
    }
  }

  return (
    <form className="panel join first-board" onSubmit={submit}>
      <h2>
        <label htmlFor="board-name">{text("first_board")}</label>
      </h2>
      <div className="field">
        <input
          id="board-name"
          value={name}
          onChange={(event) => setName(limited(event.target.value))}
          placeholder={text("first_board_name")}
          dir="auto"
          autoComplete="off"
          required
        />
        <button type="submit">{text("first_board_submit")}</button>
      </div>
    </form>
  );
}
