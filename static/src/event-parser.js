/** The longest event that is put together, in characters. One of this server's has 8 MB at the most. */
export const MOST_CHARACTERS = 16 * 2 ** 20;

/** Takes the text of an event stream in pieces of any size (HTML Standard, 9.2.6). */
export class EventParser {
  /** Lines without an end, so far; in pieces, since each may be long. @type {string[]} */
  #pieces = [];
  #size = 0;
  /** Whether the last piece ended with a carriage return: a line feed behind it is part of it. */
  #afterReturn = false;
  #type = "";
  /** @type {string[]} */
  #data = [];
  #dataSize = 0;
  #id = "";

  /**
   * @param {string} text
   * @returns {{type: string, data: string, id: string}[]} the events that are whole now
   * @throws {RangeError} if one is longer than `MOST_CHARACTERS`
   */
  feed(text) {
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    else if (text === "") return [];
    this.#afterReturn = text.endsWith("\r");
    const lines = text.split(/\r\n|\n|\r/);
    const rest = /** @type {string} */ (lines.pop());
    const events = [];
    for (const line of lines) {
      const event = this.#take(this.#pieces.length > 0 ? this.#pieces.join("") + line : line);
      this.#pieces = [];
      this.#size = 0;
      if (event) events.push(event);
    }
    if (rest) this.#pieces.push(rest);
    this.#size += rest.length;
    if (this.#size + this.#dataSize > MOST_CHARACTERS) throw new RangeError("the event is too long");
    return events;
  }

  /** @param {string} line */
  #take(line) {
    if (line === "") return this.#end();
    const colon = line.indexOf(":");
    if (colon === 0) return null; // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "event") this.#type = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "data") {
      this.#data.push(value);
      this.#dataSize += value.length;
    }
    return null;
  }

  #end() {
    const event = { type: this.#type || "message", data: this.#data.join("\n"), id: this.#id };
    const empty = this.#data.length === 0;
    this.#type = "";
    this.#data = [];
    this.#dataSize = 0;
    return empty ? null : event;
  }
}
