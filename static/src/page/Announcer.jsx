import { useEffect, useRef, useState } from "react";
import { text, time } from "./texts.js";

/** Changes of the order are told at most this often. */
const QUIET = 10_000;
/** A state has to last this long to be worth a word. */
const LASTING = 3_000;

const STATES = {
  live: "said_connected",
  polling: "said_connected",
  reconnecting: "said_lost",
  offline: "said_offline",
};

/**
 * Tells screen readers what matters, without chattering: who leads and in what order they follow,
 * when that changed; the connection, when it went and came, and of when the board is; and what the
 * page's own user did.
 */
export function Announcer({ board, state, updated, said }) {
  const [spoken, setSpoken] = useState("");
  const order = board?.players.map(({ id }) => id).join(" ") ?? "";
  const known = useRef({ board: null, order: "", at: 0, connected: true });

  const latest = useRef(board);
  latest.current = board;
  useEffect(() => {
    const { current } = known;
    if (!latest.current) return undefined;
    if (current.board !== latest.current.id) {
      Object.assign(current, { board: latest.current.id, order, at: Date.now() });
      return undefined;
    }
    if (order === current.order) return undefined;
    const tell = () => {
      const players = latest.current?.players ?? [];
      if (players.length === 0) return;
      Object.assign(current, { order: players.map(({ id }) => id).join(" "), at: Date.now() });
      const [first, ...others] = players;
      const list = others.map(({ name }) => name).join(", ");
      const { name, score } = first;
      setSpoken(
        list
          ? text("said_order", { name, score, others: list })
          : text("said_leader", { name, score }),
      );
    };
    const timer = setTimeout(tell, Math.max(0, current.at + QUIET - Date.now()));
    return () => clearTimeout(timer);
  }, [order]);

  const latestUpdate = useRef(updated);
  latestUpdate.current = updated;
  useEffect(() => {
    const { current } = known;
    const connected = state === "live" || state === "polling";
    if (!(state in STATES) || connected === current.connected) return undefined;
    const timer = setTimeout(() => {
      current.connected = connected;
      const { current: of } = latestUpdate;
      const age = connected || of === null ? "" : ` ${text("said_as_of", { time: time(of) })}`;
      setSpoken(text(STATES[state]) + age);
    }, LASTING);
    return () => clearTimeout(timer);
  }, [state]);

  useEffect(() => {
    if (said) setSpoken(said);
  }, [said]);

  return (
    <p className="spoken" role="status">
      {spoken}
    </p>
  );
}
