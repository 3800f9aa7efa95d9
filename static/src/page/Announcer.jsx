import { useEffect, useRef, useState } from "react";

/** Changes of the order are told at most this often. */
const QUIET = 10_000;
/** A state has to last this long to be worth a word. */
const LASTING = 3_000;

const STATES = {
  live: "Connected again.",
  polling: "Connected again.",
  reconnecting: "Connection lost. Trying again.",
  offline: "Offline.",
};

/**
 * Tells screen readers what matters, without chattering: who leads and in what order they follow,
 * when that changed; the connection, when it went and came; and what the page's own user did.
 */
export function Announcer({ board, state, said }) {
  const [text, setText] = useState("");
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
      setText(
        `${first.name} leads with ${first.score.toLocaleString()}` +
          (list ? `, then ${list}.` : "."),
      );
    };
    const timer = setTimeout(tell, Math.max(0, current.at + QUIET - Date.now()));
    return () => clearTimeout(timer);
  }, [order]);

  useEffect(() => {
    const { current } = known;
    const connected = state === "live" || state === "polling";
    if (!(state in STATES) || connected === current.connected) return undefined;
    const timer = setTimeout(() => {
      current.connected = connected;
      setText(STATES[state]);
    }, LASTING);
    return () => clearTimeout(timer);
  }, [state]);

  useEffect(() => {
    if (said) setText(said);
  }, [said]);

  return (
    <p className="spoken" role="status">
      {text}
    </p>
  );
}
