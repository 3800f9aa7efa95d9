/** How long each board is shown, in seconds: by default, at the least and at the most. */
const EVERY = 20;
const LEAST = 5;
const MOST = 3_600;
/** The most boards that take turns. */
const MOST_BOARDS = 50;

/**
 * What an address asks of a screen on a wall: `?wall=1&boards=a,b&every=30&qr=1`.
 *
 * @param {string} search  the query of the address
 * @returns {{on: boolean, boards: string[], every: number, code: boolean}} `every` is in seconds;
 *   `code`: whether the QR code of the board is shown
 */
export function wallIn(search) {
  const query = new URLSearchParams(search);
  const isSet = (name) => query.has(name) && query.get(name) !== "0";
  const seconds = Number(query.get("every"));
  return {
    on: isSet("wall"),
    boards: (query.get("boards") ?? "").split(",").filter(Boolean).slice(0, MOST_BOARDS),
    every: seconds > 0 ? Math.min(Math.max(seconds, LEAST), MOST) : EVERY,
    code: isSet("wall") && isSet("qr"),
  };
}

/** Whether the page is for a wall from the beginning. */
export const onWall = () => wallIn(globalThis.location?.search ?? "").on;
