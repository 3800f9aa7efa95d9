import { absolute } from "./addresses.js";
import { newKey, send } from "./requests.js";

/**
 * @typedef {object} Submission
 * @property {number} score
 * @property {"best" | "set" | "add"} [operator]  what becomes of it; by default what the board says
 * @property {string} [name]   the player's, from now on
 * @property {Record<string, unknown>} [meta]  merged into the player's
 * @property {number} [season]  which it is for: refused (409) once that is over
 *
 * @typedef {object} Submitted
 * @property {string} id
 * @property {string} name
 * @property {number} score    as it is now
 * @property {number | null} rank
 * @property {number | null} of  how many players the board has
 * @property {boolean} changed
 * @property {{score: number, rank: number | null} | null} previous  null for a new player
 *
 * @typedef {import("./requests.js").RequestOptions & {idempotencyKey?: string}} SubmitOptions
 *   `idempotencyKey`: 1 to 128 visible ASCII characters; a new one by default. A game that keeps it
 *   with the score until there is an answer can submit it again after a crash, and it counts once.
 */

/**
 * Submits a score, once and only once: it is sent again where there was no answer, or one that
 * will pass, with the same `Idempotency-Key`.
 *
 *     await submit("/boards/race/players/me/score/", { score: 120 }, { token });
 *
 * @param {string | URL} url  of the player's score
 * @param {Submission} submission
 * @param {SubmitOptions} [options]
 * @returns {Promise<Submitted>}
 * @throws {import("./requests.js").RequestError} if the server refuses it, or can't take it for long
 * @throws {TypeError} if there is no server
 */
export async function submit(url, submission, options = {}) {
  const { idempotencyKey = newKey(), ...rest } = options;
  const headers = { "Idempotency-Key": idempotencyKey };
  const answer = await send(absolute(url), { method: "POST", headers, body: submission }, rest);
  return answer.json();
}
