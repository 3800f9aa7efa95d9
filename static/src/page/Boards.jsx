import { memo, useLayoutEffect, useRef } from "react";
import { text } from "./texts.js";

/** The address of this page with another board. */
export function addressOf(id) {
  const query = new URLSearchParams(location.search);
  query.set("board", id);
  return `?${query}`;
}

/** The boards to choose from; nothing where there is only one. Events of a board leave it alone. */
export const Boards = memo(function Boards({ boards, chosen, onChoose }) {
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
});
