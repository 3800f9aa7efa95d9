/**
 * Where a stream is among the events of a board or a player: what was told last, and so what of the
 * next events is news.
 *
 * @typedef {import("./stream-options.js").Kind} Kind
 * @typedef {import("./stream-options.js").LoggedEvent} LoggedEvent
 * @typedef {import("./stream-options.js").Answer} Answer
 */

export class Position {
  #kind;
  /** What the last event said, as JSON, if that had no id: then it is known by nothing else. */
  #unnumbered = "";

  /** @param {Kind} kind @param {string} lastEventId  "" for none */
  constructor(kind, lastEventId) {
    this.#kind = kind;
    this.lastEventId = lastEventId;
  }

  /**
   * Whether `answer` has nothing but the board that is known already, from an event without an id.
   * While the server's log is away there are no ids, and each poll is answered with the board as
   * it is, after a reset; a player's place never has one.
   *
   * @param {Answer} answer
   */
  isKnown({ events }) {
    const last = events.at(-1);
    return Boolean(this.#unnumbered) && JSON.stringify(last?.data) === this.#unnumbered;
  }

  /**
   * The same of the answer to a poll, after which the position is the one that it says.
   *
   * @param {Answer} answer
   */
  *newsOf(answer) {
    if (!this.isKnown(answer)) yield* this.news(answer.events);
    // Also "0-0", which the server gives where it has no id; it knows what to do with it.
    if (typeof answer.last_event_id === "string") this.lastEventId = answer.last_event_id;
  }

  /**
   * What is to be dispatched of events, one after the other: the position is that of each, when it is
   * given.
   *
   * @param {LoggedEvent[]} events
   * @returns {Generator<{type: string, detail: unknown}, void>}
   */
  *news(events) {
    for (const { id, event, data } of events) {
      let detail;
      try {
        detail = typeof data === "string" ? JSON.parse(data) : data;
      } catch {
        continue; // cut off by something on the way; the next event is the whole board again
      }
      if (event === this.#kind.event) {
        const unnumbered = id ? "" : JSON.stringify(detail);
        if (!this.#kind.numbered && unnumbered === this.#unnumbered) continue;
        // An event without an id is newer than the last one with an id; whoever went on after that
        // would be told again what is older.
        this.lastEventId = id ?? "";
        this.#unnumbered = unnumbered;
        yield { type: event, detail: this.#kind.detail(this.lastEventId, detail) };
      } else if (this.#kind.others.includes(event)) {
        if (!this.#kind.numbered) this.#unnumbered = "";
        // The end of a season is an event of the log like the board that follows it.
        if (event === "season" && id) this.lastEventId = id;
        yield { type: event, detail };
      }
    }
  }
}
