import { addScore } from "./api.js";

/**
 * A function that adds a point to a player of `board`. Points given while an addition is under way
 * go together in the next one, so that a fast finger makes no queue of requests.
 *
 * @param {string} board
 * @param {{added: (player: object) => void, failed: (error: Error) => void}} told
 * @param {typeof addScore} [send]
 */
export function pointAdder(board, told, send = addScore) {
  /** Points that wait, for each player with an addition under way. */
  const waiting = new Map();

  return async function addPoint(player) {
    if (waiting.has(player)) {
      waiting.set(player, waiting.get(player) + 1);
      return;
    }
    let amount = 1;
    while (amount > 0) {
      waiting.set(player, 0);
      try {
        told.added(await send(board, player, amount));
      } catch (error) {
        // Whether it counted is not known, so it is not sent again.
        waiting.delete(player);
        told.failed(error);
        return;
      }
      amount = waiting.get(player);
    }
    waiting.delete(player);
  };
}
