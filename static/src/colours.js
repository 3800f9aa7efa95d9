/** How many colours ground.css has for players, `--player-0` and on. */
export const COLOURS = 16;

/** A number that is the same for an id wherever and whenever it is shown (FNV-1a). @param {string} text */
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

/** The colours that the id would have, best first; a walk through all of them. @param {string} id */
function preferred(id) {
  const value = hash(id);
  const step = 1 + 2 * ((value >>> 8) % (COLOURS / 2)); // odd, so that it comes to each of them
  return Array.from({ length: COLOURS }, (_, i) => (value + i * step) % COLOURS);
}

/**
 * Gives each of `ids` a colour that its id says. Where two would have the same, one of them,
 * whichever the ids say, has its next choice as long as both are in sight. Neither ranks nor who
 * was seen first matter, so that a player looks the same on every screen that shows the same board.
 *
 * @param {string[]} ids  those in sight
 * @returns {Map<string, number>}
 */
export function assignColours(ids) {
  /** @type {Map<string, number>} */
  const colours = new Map();
  /** @type {number[]} */
  const used = Array(COLOURS).fill(0);
  const order = [...new Set(ids)].map((id) => ({ id, value: hash(id) }));
  order.sort((a, b) => a.value - b.value || (a.id < b.id ? -1 : 1));
  for (const { id } of order) {
    const least = Math.min(...used);
    // A walk through all of them comes to one that is used least.
    const colour = /** @type {number} */ (preferred(id).find((one) => used[one] === least));
    used[colour] += 1;
    colours.set(id, colour);
  }
  return colours;
}

/**
 * @param {{id: string}[]} [players]  those in sight
 * @returns {(id: string) => string} a CSS colour
 */
export function coloursOf(players = []) {
  const colours = assignColours(players.map(({ id }) => id));
  return (id) => `var(--player-${colours.get(id) ?? 0})`;
}
