/**
 * What a stream can be told, what it can tell, and what the streams of a kind have.
 *
 * @typedef {"connecting"    // nothing has come yet
 *   | "live"                // the stream is open
 *   | "polling"             // events come by long-polling
 *   | "reconnecting"        // the server did not answer; trying again
 *   | "offline"             // the same, and the browser says it has no network
 *   | "missing"             // the server has no such board or player; asking again now and then
 *   | "refused"             // reading needs a token, or another one; asking again now and then
 *   | "paused"              // the page has been hidden for long; goes on when it is shown
 *   | "closed"              // close() was called
 * } State
 *
 * @typedef {object} Options  Times are in milliseconds.
 * @property {string} [lastEventId]  go on after this event; without it the board as it is comes first
 * @property {number} [silence]      a stream that brought nothing for this long is checked by a
 *   poll; if that has something newer, the stream is held back somewhere. 4,000.
 * @property {number} [checkEvery]   a stream that is quiet is checked at most this often, which also
 *   finds a connection that died without a word. 60,000.
 * @property {number} [failures]     broken streams in a row before it goes over to polling. 3.
 * @property {number} [stableAfter]  a stream that held this long did not break "again". 20,000.
 * @property {number} [retryMin]     the first pause before trying again, at least. 1,000.
 * @property {number} [retryMax]     pauses double up to this. 30,000.
 * @property {number} [wait]         how long a poll may wait for something newer. 25,000.
 * @property {number} [tryStreamEvery]  how often the stream is tried while polling; doubles up to
 *   ten times this. 60,000.
 * @property {number} [hiddenAfter]  a page hidden for this long stops listening; `Infinity`: never.
 *   60,000.
 * @property {string | Credential} [token]  the token that polls, streams by `fetch` and requests for
 *   tickets carry, or what gets it
 * @property {Credential} [ticket]   gets a ticket, where only somebody else has the token: another
 *   one each time, since each is good once
 * @property {string | URL} [tickets]  where a ticket is given for a token; by default `tickets/`
 *   beside the `boards/` of the board's address
 * @property {boolean} [withCredentials]  send cookies to another origin, too. false.
 * @property {boolean} [together]  the boards of a page that one host has share a stream, but for
 *   those with a `token`, a `ticket` or `withCredentials`. true.
 * @property {() => number} [random] draws the jitter, from 0 to 1
 * @property {typeof globalThis.fetch} [fetch]
 * @property {typeof globalThis.EventSource | null} [EventSource]  null: poll only. By default the
 *   one that there is, or else one made of `fetch`
 * @property {import("./slots.js").Slots | null} [slots]  who gives out connections to the host;
 *   null: nobody has to be asked
 *
 * @typedef {import("./credentials.js").Credential} Credential
 *
 * @typedef {{once?: boolean, capture?: boolean, passive?: boolean, signal?: AbortSignal}} ListenerOptions
 *   spelled out, since only the types of the DOM have a name for it, and those of Node don't
 *
 * @typedef {NonNullable<ReturnType<typeof import("./several-boards.js").placeOf>>} Place  where a board
 *   shares a stream with others
 *
 * @typedef {{id: string | null, event: string, data: unknown}} LoggedEvent
 * @typedef {{events: LoggedEvent[], last_event_id: string | null}} Answer  of a poll
 *
 * @typedef {object} Kind  what the streams of a kind have
 * @property {string} event   the type of the event that says how things stand
 * @property {(id: string, data: any) => unknown} detail  what is dispatched of it
 * @property {string[]} others  the types of further events, which are dispatched with their data
 * @property {boolean} numbered  whether events have ids; where they don't, what is known is not told
 *   again
 * @property {boolean} together  whether several can share a connection
 * @property {number} grace   how much later than a poll a stream may bring the same event without
 *   being called held back, in milliseconds
 */

/** What holds where nothing else is said. */
export const DEFAULTS = {
  lastEventId: "",
  silence: 4_000,
  checkEvery: 60_000,
  failures: 3,
  stableAfter: 20_000,
  retryMin: 1_000,
  retryMax: 30_000,
  wait: 25_000,
  tryStreamEvery: 60_000,
  hiddenAfter: 60_000,
  withCredentials: false,
  together: true,
  random: Math.random,
};
