import { memo, useEffect, useLayoutEffect, useRef, useState } from "react";
import { PointButton } from "./PointButton.jsx";
import { risen } from "./past.js";
import { Score } from "./Score.jsx";
import { shares } from "./shares.js";
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
  const lengths = shares(board.players.map(({ score }) => score));
  return (
    // Safari takes a list without bullets for none, unless it is told.
    <ol className="rows" role="list" ref={list} aria-label={text("players")}>
      {board.players.map((player, i) => {
        const [ahead, behind] = [board.players[i - 1], board.players[i + 1]];
        return (
          <Row
            key={player.id}
            id={player.id}
            name={player.name}
            score={player.score}
            // Equal scores share a rank: one more than the number of players with a higher score.
            rank={1 + board.players.findIndex(({ score }) => score === player.score)}
            before={before.get(player.id)}
            gap={gapOf(player, ahead, behind)}
            share={lengths[i]}
            colour={colourOf(player.id)}
            onPoint={onPoint}
          />
        );
      })}
    </ol>
  );
}

/** One that an event does not change is not drawn again: what it gets are texts and numbers. */
const Row = memo(function Row({ id, name, score, rank, before, gap, share, colour, onPoint }) {
  return (
    <li className="row" data-id={id} data-rank={rank} style={{ "--colour": colour }}>
      <span className="bar" aria-hidden="true" style={{ "--share": share }} />
      <span className="rank">
        <span className="spoken">{text("rank")} </span>
        {number(rank)}
        <Moved by={risen(rank, before)} />
      </span>
      <span className="who">
        <span className="name" dir="auto">
          {name}
        </span>
        {gap && <span className="gap">{gap}</span>}
      </span>
      <span className="points">
        <Score value={score} />
        <Change score={score} />
      </span>
      <PointButton player={{ id, name }} onPoint={onPoint} />
    </li>
  );
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

/** How `player` stands to the next ones, who may not be there. */
function gapOf(player, ahead, behind) {
  if (ahead) {
    const points = ahead.score - player.score;
    return points > 0 ? text("behind", { points }) : text("level");
  }
  if (!behind) return "";
  const points = player.score - behind.score;
  return points > 0 ? text("leads", { points }) : text("level");
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
