import { useEffect, useReducer } from "react";
import { listen } from "../shared-board-stream.js";
import { eventsPath, getHistory } from "./api.js";
import { firstBoard, forgetFirstBoard } from "./firstBoard.js";
import { merge, record, timeOf } from "./history.js";
import { streamToken } from "./token.js";
import { useToken } from "./useToken.js";

/** The states in which nothing of the board comes through, though it should. */
const LOST = new Set(["reconnecting", "offline"]);

const NOTHING = {
  board: null,
  state: "connecting",
  snapshots: [],
  ahead: 0,
  updated: null,
  lost: null,
};

/** What is known of a board before it is listened to. */
const beginning = (id) => {
  const board = firstBoard();
  return board?.id === id ? { ...NOTHING, board, updated: performance.timeOrigin } : NOTHING;
};

function reduce(current, action) {
  switch (action.type) {
    case "another board":
      return beginning(action.id);
    case "state": {
      const { state } = action;
      return { ...current, state, lost: LOST.has(state) ? (current.lost ?? Date.now()) : null };
    }
    case "update": {
      const time = timeOf(action.id) ?? Date.now() - current.ahead;
      const snapshots = record(current.snapshots, time, action.board.players);
      return { ...current, board: action.board, snapshots, updated: Date.now() };
    }
    case "history": {
      let logged = [];
      for (const { id, event, data } of action.events) {
        const time = timeOf(id);
        if (event !== "update" || time === null) continue;
        const board = typeof data === "string" ? JSON.parse(data) : data;
        logged = record(logged, time, board.players);
      }
      // What the log has lost may have been seen here.
      const snapshots = merge(logged, current.snapshots);
      return { ...current, snapshots, ahead: action.ahead };
    }
    default:
      throw new Error(`no such action: ${action.type}`);
  }
}

/**
 * A board as it is now, and how its scores came about.
 *
 * @param {string} id  of the board, "" for none
 * @returns {{
 *   board: import("../board-stream.js").Board | null,
 *   state: import("../board-stream.js").State,
 *   snapshots: {time: number, scores: Map<string, number>}[],
 *   ahead: number,
 *   updated: number | null,
 *   lost: number | null,
 * }} `ahead`: milliseconds from the server's clock to this one; `updated`: when the board came, and
 *   `lost`: since when nothing comes through, both by this clock
 */
export function useBoard(id) {
  const [current, dispatch] = useReducer(reduce, id, beginning);
  const held = useToken();

  useEffect(() => {
    dispatch({ type: "another board", id });
    if (!id) return undefined;
    const gone = new AbortController();
    const fillHistory = () =>
      getHistory(id, gone.signal)
        .then(({ events, ahead }) => dispatch({ type: "history", events, ahead }))
        .catch(() => {}); // the chart begins now, then; the stream tells what is wrong

    const stream = listen(eventsPath(id), streamToken());
    let missed = true; // on load, and after a pause: what happened before is in the log
    stream.addEventListener("update", ({ detail }) => {
      forgetFirstBoard();
      dispatch({ type: "update", ...detail });
      if (missed) void fillHistory();
      missed = false;
    });
    stream.addEventListener("reset", () => {
      missed = true; // and the board that is shown stays until the next one, which follows
    });
    stream.addEventListener("state", () => {
      if (stream.state === "paused") missed = true;
      dispatch({ type: "state", state: stream.state });
    });
    return () => {
      gone.abort();
      stream.close();
    };
  }, [id, held]);

  return current;
}
