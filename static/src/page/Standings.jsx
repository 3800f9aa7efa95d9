import { createElement, memo, useEffect, useLayoutEffect, useRef, useState } from "react";
import { PointButton } from "./PointButton.jsx";
import { risen } from "./past.js";
import { ranked } from "./ranked.js";
import { row } from "./row.js";
import { number, text } from "./texts.js";

const SLIDE = { duration: 650, easing: "cubic-bezier(0.2, 0.9, 0.25, 1)" };

const NOBODY = new Map();

/**
 * The ranked players, best first; without buttons unless there is `onPoint`. `before`: the ranks of
 * an hour ago.
 */
export function Standings({ board, before = NOBODY, colourOf, onPoint }) {
  const list = useSlidingRows(board);
  if (!board) return <ol className="rows waiting" aria-busy="true" aria-label={text("players")} />;
  if (board.players.length === 0) return <p className="empty">{text("nobody_yet")}</p>;
  return (
    // Safari takes a list without bullets for none, unless it is told.
    <ol className="rows" role="list" ref={list} aria-label={text("players")}>
      {ranked(board.players).map((facts) => (
        <Row
          key={facts.id}
          {...facts}
          before={before.get(facts.id)}
          colour={colourOf(facts.id)}
          onPoint={onPoint}
        />
      ))}
    </ol>
  );
}

/** One that an event does not change is not drawn again: what it gets are texts and numbers. */
const Row = memo(function Row({ value, before, onPoint, ...facts }) {
  return row(createElement, facts, {
    moved: <Moved by={risen(Number(facts.place), before)} />,
    change: <Change score={value} />,
    point: <PointButton player={facts} onPoint={onPoint} />,
  });
});

/** By how many places a player has risen, or fallen, within an hour. */
function Moved({ by }) {
  if (by === 0) return null;
  const count = Math.abs(by);
  return (
    <span className="moved" data-up={by > 0 || undefined} title={text("moved_title", { count })}>
      <span aria-hidden="true">
        {by > 0 ? "▲" : "▼"}
        {number(count)}
      </span>
      <span className="spoken">{text(by > 0 ? "moved_up" : "moved_down", { count })}</span>
    </span>
  );
}

/** How much a score has just changed by; rises and fades. */
function Change({ score }) {
  const before = useRef(score);
  const [change, setChange] = useState({ by: 0, n: 0 });
  useEffect(() => {
    const by = score - before.current;
    before.current = score;
    if (by !== 0) setChange(({ n }) => ({ by, n: n + 1 }));
  }, [score]);
  if (change.n === 0) return null;
  return (
    <span key={change.n} className="change" aria-hidden="true">
      {change.by > 0 ? "+" : "−"}
      {number(Math.abs(change.by))}
    </span>
  );
}

/** Lets rows slide from where they were seen to where they now belong (FLIP). */
function useSlidingRows(board) {
  const list = useRef(null);
  const tops = useRef(new Map());
  const shown = useRef(null);
  useLayoutEffect(() => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const now = new Map();
    for (const row of list.current?.children ?? []) {
      const { id } = row.dataset;
      const top = row.offsetTop; // without transforms: where it belongs
      now.set(id, top);
      if (still || shown.current !== board?.id) continue;
      if (!tops.current.has(id)) {
        row.animate([{ opacity: 0, transform: "translateX(-2rem)" }, {}], SLIDE);
      } else if (tops.current.get(id) !== top) {
        // A row that is still on its way starts from where it is.
        const moved = new DOMMatrix(getComputedStyle(row).transform).f;
        const from = tops.current.get(id) - top + moved;
        row.getAnimations().forEach((animation) => animation.cancel());
        const rises = from > 0;
        row.animate(
          [
            { transform: `translateY(${from}px)`, zIndex: rises ? 2 : 1 },
            { transform: "none", zIndex: rises ? 2 : 1 },
          ],
          SLIDE,
        );
      }
    }
    tops.current = now;
    shown.current = board?.id;
  }, [board]);
  return list;
}
