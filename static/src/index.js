/** The client of tornado_board: watches boards and players live, and submits scores. */

export { BoardStream, PollError } from "./board-stream.js";
export { Boards } from "./boards.js";
export { FetchEventSource } from "./fetch-event-source.js";
export { PlayerStream } from "./player-stream.js";
export { Replay } from "./replay.js";
export { RequestError, newKey } from "./requests.js";
export { Slots } from "./slots.js";
export { submit } from "./submit.js";

/**
 * @typedef {import("./board-stream.js").Board} Board
 * @typedef {import("./board-stream.js").Player} Player
 * @typedef {import("./boards.js").Page} Page
 * @typedef {import("./boards.js").Ranked} Ranked
 * @typedef {import("./boards.js").Season} Season
 * @typedef {import("./boards.js").Seasons} Seasons
 * @typedef {import("./boards.js").Which} Which
 * @typedef {import("./credentials.js").Credential} Credential
 * @typedef {import("./stream-options.js").State} State
 * @typedef {import("./stream-options.js").Options} StreamOptions
 * @typedef {import("./player-stream.js").Place} Place
 * @typedef {import("./replay.js").Frame} Frame
 * @typedef {import("./replay.js").ReplayOptions} ReplayOptions
 * @typedef {import("./replay.js").ReplayState} ReplayState
 * @typedef {import("./requests.js").RequestOptions} RequestOptions
 * @typedef {import("./submit.js").Submission} Submission
 * @typedef {import("./submit.js").Submitted} Submitted
 * @typedef {import("./submit.js").SubmitOptions} SubmitOptions
 */
