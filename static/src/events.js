/**
 * What the DOM has for events, or where it is missing (React Native), as much of it as is used
 * here.
 */

class PlainEvent {
  /** @param {string} type */
  constructor(type) {
    this.type = type;
  }
}

class PlainTarget {
  /** @type {Map<string, Map<unknown, boolean>>} */
  #listeners = new Map();

  /** @param {string} type @param {any} listener @param {{once?: boolean}} [options] */
  addEventListener(type, listener, options) {
    if (!listener) return;
    const known = this.#listeners.get(type) ?? new Map();
    this.#listeners.set(type, known);
    if (!known.has(listener)) known.set(listener, Boolean(options?.once));
  }

  /** @param {string} type @param {any} listener */
  removeEventListener(type, listener) {
    this.#listeners.get(type)?.delete(listener);
  }

  /** @param {any} event */
  dispatchEvent(event) {
    const known = this.#listeners.get(event.type) ?? new Map();
    for (const [listener, once] of [...known]) {
      if (!known.has(listener)) continue; // another listener took it away
      if (once) known.delete(listener);
      try {
        if (typeof listener === "function") listener.call(this, event);
        else listener.handleEvent(event);
      } catch (error) {
        // As in a browser: it is reported, and the other listeners are told all the same.
        setTimeout(() => {
          throw error;
        });
      }
    }
    return true;
  }
}

const whole = Boolean(globalThis.EventTarget && globalThis.Event);

/** @type {typeof globalThis.EventTarget} */
export const EventTarget = whole ? globalThis.EventTarget : /** @type {any} */ (PlainTarget);

/** @type {typeof globalThis.Event} */
export const Event = whole ? globalThis.Event : /** @type {any} */ (PlainEvent);

class PlainCustomEvent extends Event {
  /** @param {string} type @param {{detail?: unknown}} [init] */
  constructor(type, init) {
    super(type);
    this.detail = init?.detail;
  }
}

class PlainMessageEvent extends Event {
  /** @param {string} type @param {{data?: unknown, lastEventId?: string}} [init] */
  constructor(type, init) {
    super(type);
    this.data = init?.data;
    this.lastEventId = init?.lastEventId ?? "";
  }
}

/** @type {typeof globalThis.CustomEvent} */
export const CustomEvent =
  (whole && globalThis.CustomEvent) || /** @type {any} */ (PlainCustomEvent);

/** @type {typeof globalThis.MessageEvent} */
export const MessageEvent =
  (whole && globalThis.MessageEvent) || /** @type {any} */ (PlainMessageEvent);
