/**
 * The web component `<live-board>`: a board that moves, on any page.
 *
 *     <script type="module" src="https://boards.example/live-board.js"></script>
 *     <live-board board="race" player="me" rows="10"></live-board>
 *
 * Attributes: `board`; `player`, whose row is marked, and whose place is told below; `rows`, how
 * many are shown, 1 to 100; `server`, where the board is, by default where the script is; `theme`,
 * `light` or `dark`; `plain`, without the head line; `lang`. The property `token` is a token, or a
 * function that gets one: it is no attribute, since those can be read by everything on the page.
 *
 * It dispatches `update` (`detail` is `{id, board}`), `rank` (the player's place), `season`
 * (the final board of one that is over), and `state`.
 */

import { Boards } from "./boards.js";
import { assignColours } from "./colours.js";
import { PALETTE, STYLE } from "./live-board-style.js";
import { languageOf, localeOf } from "./languages.js";
import { TEXTS, fill } from "./live-board-texts.js";

/**
 * @typedef {import("./board-stream.js").Board} Board
 * @typedef {import("./board-stream.js").BoardStream} BoardStream
 * @typedef {import("./player-stream.js").PlayerStream} PlayerStream
 * @typedef {import("./player-stream.js").Place} Place
 * @typedef {import("./credentials.js").Credential} Credential
 * @typedef {{id: string, name: string, score: number, rank?: number}} Row
 */

/** The most rows, as many as a board shows. */
const MOST_ROWS = 100;
/** The least time between two readings of a page, where the events have fewer rows than are shown. */
const READ_EVERY = 1_000;
/** The least time between two announcements of one's own place to screen readers. */
const SAY_EVERY = 5_000;
const SLIDE = { duration: 500, easing: "cubic-bezier(0.2, 0.9, 0.25, 1)" };

/** What is beside this script is the server's. */
const here = import.meta.url;
const SERVER = new URL(".", here).href;

/** Node and others, where this module may be imported, have no elements. */
const Element = /** @type {typeof HTMLElement} */ (
  globalThis.HTMLElement ?? /** @type {unknown} */ (class {})
);

/** @type {CSSStyleSheet | undefined} */
let sheet;

export class LiveBoard extends Element {
  static observedAttributes = ["board", "player", "rows", "server", "lang", "plain"];

  /** @type {string | Credential | undefined} */
  #token;
  /** @type {BoardStream | null} */
  #stream = null;
  /** @type {PlayerStream | null} */
  #placeStream = null;
  /** @type {Boards | null} */
  #boards = null;
  /** @type {Board | null} */
  #board = null;
  /** The rows of a page, where the board's events have too few. @type {Row[]} */
  #page = [];
  /** @type {Place | "nobody" | null} */
  #place = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #reading;
  #readAt = 0;
  #saidAt = 0;
  #connected = false;
  #restarts = false;
  /** @type {Record<string, HTMLElement>} */
  #parts = {};

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    if (!sheet) {
      sheet = new CSSStyleSheet(); // made here, and so not subject to the page's style-src
      sheet.replaceSync(STYLE);
    }
    root.adoptedStyleSheets = [sheet];
    const part = this.#make.bind(this);
    const head = part("header", "head", [part("span", "title"), part("span", "state")]);
    const board = part("section", "board", [
      head,
      part("ol", "list"),
      part("p", "note"),
      part("p", "place"),
    ]);
    const spoken = part("p", "spoken");
    spoken.setAttribute("role", "status");
    this.#parts.title.setAttribute("dir", "auto");
    this.#parts.list.setAttribute("role", "list"); // Safari takes one without bullets for none
    this.#parts.note.setAttribute("role", "status");
    root.append(board, spoken);
  }

  /** What lets one read a private board. @param {string | Credential | undefined} token */
  set token(token) {
    this.#token = token;
    this.#restart();
  }

  get token() {
    return this.#token;
  }

  /** How the board is listened to. @returns {import("./stream-options.js").State} */
  get state() {
    return this.#stream?.state ?? "closed";
  }

  connectedCallback() {
    this.#connected = true;
    if (this.hasAttribute("embedded")) {
      embed(this.#language());
      this.#parts.title.setAttribute("role", "heading");
      this.#parts.title.setAttribute("aria-level", "1");
    }
    this.#start();
  }

  disconnectedCallback() {
    this.#connected = false;
    this.#stop();
  }

  /** @param {string} name @param {string | null} before @param {string | null} now */
  attributeChangedCallback(name, before, now) {
    if (before === now || !this.#connected) return;
    if (name === "lang" || name === "plain") this.#show();
    else this.#restart();
  }

  /** @param {string} tag @param {string} name @param {Node[]} [children] */
  #make(tag, name, children = []) {
    const made = document.createElement(tag);
    made.className = name;
    if (name !== "spoken") made.setAttribute("part", name);
    made.append(...children);
    this.#parts[name] = made;
    return made;
  }

  /** Several attributes that change together make one new beginning. */
  #restart() {
    if (!this.#connected || this.#restarts) return;
    this.#restarts = true;
    queueMicrotask(() => {
      this.#restarts = false;
      if (!this.#connected) return;
      this.#stop();
      this.#start();
    });
  }

  #start() {
    const [board, player] = [this.getAttribute("board"), this.getAttribute("player")];
    this.#board = this.#place = null;
    this.#page = [];
    this.#show();
    if (!board) return;
    try {
      this.#boards = new Boards(this.getAttribute("server") || SERVER, { token: this.#token });
      this.#watch(this.#boards.watch(board));
      if (player) this.#watchPlayer(this.#boards.watchPlayer(board, player));
    } catch (error) {
      this.#stop(); // an id or an address that can be none
      console.error("<live-board>:", error);
    }
    this.#show();
  }

  #stop() {
    clearTimeout(this.#reading);
    this.#reading = undefined;
    this.#stream?.close();
    this.#placeStream?.close();
    this.#stream = this.#placeStream = this.#boards = null;
  }

  /** @param {BoardStream} stream */
  #watch(stream) {
    this.#stream = stream;
    stream.addEventListener("update", ({ detail }) => {
      // Who was on the page of another season has no place in this one.
      if (detail.board.season?.number !== this.#board?.season?.number) this.#page = [];
      this.#board = detail.board;
      this.#readSoon();
      this.#show();
      this.dispatchEvent(new CustomEvent("update", { detail }));
    });
    stream.addEventListener("season", ({ detail }) =>
      this.dispatchEvent(new CustomEvent("season", { detail })),
    );
    stream.addEventListener("state", () => {
      if (this.#stream !== stream) return;
      this.#show();
      this.dispatchEvent(new Event("state"));
    });
  }

  /** @param {PlayerStream} stream */
  #watchPlayer(stream) {
    this.#placeStream = stream;
    stream.addEventListener("rank", ({ detail }) => {
      this.#place = detail;
      this.#show();
      this.#say();
      this.dispatchEvent(new CustomEvent("rank", { detail }));
    });
    const nobody = () => {
      this.#place = "nobody";
      this.#show();
    };
    stream.addEventListener("gone", nobody);
    stream.addEventListener("state", () => {
      if (this.#placeStream === stream && stream.state === "missing") nobody();
    });
  }

  /** How many rows are asked for; 0 for as many as the board shows. */
  get #rows() {
    const rows = Math.floor(Number(this.getAttribute("rows")));
    return rows >= 1 ? Math.min(rows, MOST_ROWS) : 0;
  }

  /** Reads a page where the events have fewer rows than are to be shown, and not too often. */
  #readSoon() {
    const shown = this.#board?.players.length ?? 0;
    if (this.#reading !== undefined || shown >= this.#rows || shown === 0) return;
    const wait = Math.max(0, this.#readAt + READ_EVERY - Date.now());
    this.#reading = setTimeout(async () => {
      const boards = this.#boards;
      const board = this.getAttribute("board") ?? "";
      const season = this.#board?.season?.number;
      try {
        const page = await boards?.page(board, { limit: this.#rows }, { retries: 0 });
        if (this.#boards !== boards || !page || season !== this.#board?.season?.number) return;
        this.#page = page.players;
        this.#show();
      } catch {
        // The next event asks again, and the state says what is wrong.
      } finally {
        if (this.#boards === boards) this.#reading = undefined;
        this.#readAt = Date.now();
      }
    }, wait);
  }

  /** What is shown, best first. @returns {Row[]} */
  #shown() {
    const best = this.#board?.players ?? [];
    const rows = this.#rows || best.length;
    // The events are newer than the page; what is below them comes from it.
    const known = new Set(best.map(({ id }) => id));
    const below = rows > best.length ? this.#page.filter(({ id }) => !known.has(id)) : [];
    return ranked([...best, ...below].slice(0, rows));
  }

  #show() {
    const texts = TEXTS[languageOf(this.#language())];
    const { head, title, state, list, note, place } = this.#parts;
    head.hidden = this.hasAttribute("plain");
    title.textContent = this.#board?.name ?? this.getAttribute("board") ?? "";
    const now = this.state;
    state.textContent = texts[now];
    state.toggleAttribute("data-live", now === "live" || now === "polling");
    const gone = now === "missing" || now === "refused";
    note.textContent = gone ? texts[now] : this.#board?.players.length === 0 ? texts.empty : "";
    note.hidden = !note.textContent;
    list.hidden = gone;
    list.setAttribute("aria-label", texts.players);
    list.setAttribute("aria-busy", String(!this.#board));
    this.#showRows(gone ? [] : this.#shown());
    const told = gone ? "" : this.#told();
    place.textContent = told;
    place.hidden = !told;
  }

  /** The language of the element or of what it stands in, else of the browser, as a tag. */
  #language() {
    const found = /** @type {HTMLElement | null} */ (this.closest("[lang]"));
    const spoken = globalThis.navigator?.languages ?? [];
    return localeOf(found?.lang ? [found.lang, ...spoken] : spoken, Object.keys(TEXTS));
  }

  /** One's place in words; empty where none is asked for or known. */
  #told() {
    const place = this.#place;
    const texts = TEXTS[languageOf(this.#language())];
    if (!place || !this.getAttribute("player")) return "";
    if (place === "nobody") return texts.nobody;
    if (place.rank === null) return ""; // no score yet in this season
    const number = new Intl.NumberFormat(this.#language());
    const values = { rank: number.format(place.rank), of: number.format(place.of) };
    const gap =
      place.to_next === null
        ? texts.first
        : fill(texts.next, { points: number.format(place.to_next) });
    return `${fill(texts.rank, values)} · ${gap}`;
  }

  #say() {
    const now = Date.now();
    if (now - this.#saidAt < SAY_EVERY) return;
    this.#saidAt = now;
    this.#parts.spoken.textContent = this.#told();
  }

  /** @param {Row[]} rows */
  #showRows(rows) {
    const own = this.getAttribute("player");
    const place = this.#place;
    const last = rows.length;
    if (own && place && place !== "nobody" && place.rank !== null && !rows.some(({ id }) => id === own)) {
      rows = [...rows, place];
    }
    const { list } = this.#parts;
    const before = new Map(
      [...list.children].map((row) => [
        /** @type {HTMLElement} */ (row).dataset.id,
        /** @type {HTMLElement} */ (row),
      ]),
    );
    const tops = new Map([...before].map(([id, row]) => [id, row.offsetTop]));
    const colours = assignColours(rows.map(({ id }) => id));
    const number = new Intl.NumberFormat(this.#language());
    const shown = rows.map((row, i) => {
      const item = before.get(row.id) ?? rowOf(row.id);
      const [rank, colour, name, score] = /** @type {HTMLElement[]} */ ([...item.children]);
      rank.textContent = number.format(row.rank ?? i + 1);
      colour.style.setProperty("background", PALETTE[colours.get(row.id) ?? 0]);
      name.textContent = row.name;
      score.textContent = number.format(row.score);
      item.classList.toggle("own", row.id === own);
      item.setAttribute("part", row.id === own ? "row own" : i < last ? "row" : "row own below");
      return item;
    });
    // Rows that stay where they are keep their place in the document: focus and animations do, too.
    shown.forEach((row, i) => {
      if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
    });
    while (list.children.length > shown.length) list.lastElementChild?.remove();
    if (globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches) return;
    for (const row of shown) {
      const top = tops.get(row.dataset.id);
      if (top === undefined || top === row.offsetTop || !row.animate) continue;
      row.animate([{ transform: `translateY(${top - row.offsetTop}px)` }, {}], SLIDE);
    }
  }
}

/** @param {string} id */
function rowOf(id) {
  const row = document.createElement("li");
  row.dataset.id = id;
  for (const name of ["rank", "colour", "name", "score"]) {
    const part = document.createElement("span");
    part.className = name;
    part.setAttribute("part", name);
    row.append(part);
  }
  row.children[1].setAttribute("aria-hidden", "true");
  row.children[2].setAttribute("dir", "auto");
  return row;
}

/**
 * Competition ranks, 1, 2, 2, 4, for what has none.
 *
 * @param {Row[]} rows  best first, from the best on
 * @returns {Row[]}
 */
function ranked(rows) {
  let rank = 1;
  return rows.map((row, i) => {
    if (i > 0 && row.score !== rows[i - 1].score) rank = i + 1;
    return { ...row, rank };
  });
}

/** The page is there for the board alone, in somebody's frame. @param {string} language */
function embed(language) {
  document.documentElement.lang ||= language;
  const page = new CSSStyleSheet();
  page.replaceSync(":root { color-scheme: light dark; background: transparent } body { margin: 0 }");
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, page];
}

globalThis.customElements?.get("live-board") ??
  globalThis.customElements?.define("live-board", LiveBoard);
