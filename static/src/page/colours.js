import { useRef } from "react";

/** How many colours page.css has for players, `--player-0` and on. */
const COLOURS = 8;

/**
 * Gives each player a colour for as long as the page is open: the first one that nobody else in
 * sight has.
 *
 * @param {{id: string}[]} [players]  those in sight
 * @returns {(id: string) => string} a CSS colour
 */
export function useColours(players = []) {
  const given = useRef(new Map());
  const colours = given.current;
  for (const { id } of players) {
    if (colours.has(id)) continue;
    const seen = new Set(players.map((player) => colours.get(player.id)));
    const free = Array.from({ length: COLOURS }, (_, n) => n).find((n) => !seen.has(n)) ?? 0;
    colours.set(id, free);
  }
  const inSight = new Set(players.map(({ id }) => id));
  const used = new Set();
  for (const id of inSight) {
    // Somebody who comes back may find the old colour taken.
    if (used.has(colours.get(id))) {
      const free = Array.from({ length: COLOURS }, (_, n) => n).find((n) => !used.has(n)) ?? 0;
      colours.set(id, free);
    }
    used.add(colours.get(id));
  }
  // Only who is in sight keeps a colour, and a few who may come back.
  for (const id of colours.keys()) {
    if (colours.size <= 4 * COLOURS) break;
    if (!inSight.has(id)) colours.delete(id);
  }
  return (id) => `var(--player-${colours.get(id) ?? 0})`;
}
