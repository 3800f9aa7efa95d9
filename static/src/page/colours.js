import { useRef } from "react";

/** How many colours page.css has for players, `--player-0` and on. */
export const COLOURS = 10;

/** A number that is the same for an id wherever and whenever it is shown (FNV-1a). */
function hash(text) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    value = Math.imul(value ^ byte, 0x01000193);
  }
  // The low bits of FNV-1a say little; mixed as in MurmurHash3.
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** The colours that the id would have, best first; a walk through all of them. */
function preferred(id) {
  const value = hash(id);
  const steps = [1, 3, 7, 9]; // without a factor in common with COLOURS
  const step = steps[(value >>> 8) % steps.length];
  return Array.from({ length: COLOURS }, (_, i) => (value + i * step) % COLOURS);
}

/**
 * Gives each of `ids`, best player first, a colour that its id says, so that a player looks the
 * same on every screen and after every reload. Where two would have the same, one of them, whoever
 * that id says, gets its next choice. Those who have been in sight keep theirs.
 *
 * @param {string[]} ids  those in sight
 * @param {Map<string, number>} [before]  what those who were in sight had
 * @returns {Map<string, number>}
 */
export function assignColours(ids, before = new Map()) {
  const colours = new Map();
  const inSight = new Set(ids);
  const used = new Map(); // how many have a colour
  const give = (id, colour) => {
    colours.set(id, colour);
    used.set(colour, (used.get(colour) ?? 0) + 1);
  };
  for (const id of ids) {
    if (before.has(id)) give(id, before.get(id));
  }
  // Not by rank, which changes, nor by who came first, which differs from one screen to the next.
  const order = [...inSight].filter((id) => !colours.has(id));
  order.sort((a, b) => hash(a) - hash(b) || (a < b ? -1 : 1));
  for (const id of order) {
    const at = ids.indexOf(id);
    const neighbours = [colours.get(ids[at - 1]), colours.get(ids[at + 1])];
    const cost = (colour) => 2 * (used.get(colour) ?? 0) + (neighbours.includes(colour) ? 1 : 0);
    const choices = preferred(id);
    const least = Math.min(...choices.map(cost));
    give(id, choices.find((colour) => cost(colour) === least));
  }
  return colours;
}

/**
 * @param {{id: string}[]} [players]  those in sight, best first
 * @returns {(id: string) => string} a CSS colour
 */
export function useColours(players = []) {
  const given = useRef(new Map());
  given.current = assignColours(players.map(({ id }) => id), given.current);
  const colours = given.current;
  return (id) => `var(--player-${colours.get(id) ?? 0})`;
}
