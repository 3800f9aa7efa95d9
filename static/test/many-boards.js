/** A server of many boards, in memory. */

/** A server of many boards, which brings several on one stream if `several` says so. */
export class ManyBoards {
  constructor(ids) {
    this.boards = new Map();
    this.several = true;
    this.down = false;
    /** Open streams, and the addresses of all there were. */
    this.sources = new Set();
    this.addresses = [];
    /** Counters of a board that is made again do not begin anew. */
    this.lives = new Map();
    for (const id of ids) this.change(id, 0);
    const server = this;
    this.EventSource = class extends FakeSource {
      constructor(address) {
        super(server, address);
      }
    };
    this.fetch = async (address) => {
      const url = new URL(address);
      const board = this.boards.get(url.pathname.split("/")[2]);
      await new Promise((resolve) => setTimeout(resolve, 10));
      if (this.down) throw new TypeError("fetch failed");
      if (!board) return { ok: false, status: 404, headers: new Headers() };
      const events = after(board, url.searchParams.get("since"));
      const last = board.at(-1).id;
      return { ok: true, status: 200, json: async () => ({ events, last_event_id: last }) };
    };
  }

  change(id, score) {
    const log = this.boards.get(id) ?? [];
    this.boards.set(id, log);
    const n = (this.lives.get(id) ?? 0) + log.length + 1;
    const data = JSON.stringify({ id, name: id, players: [{ id: "p", name: "P", score }] });
    log.push({ id: `${1_000 + n}-${n}`, event: "update", data });
    for (const source of this.sources) source.bring(id, log.at(-1));
  }

  delete(id) {
    this.boards.delete(id);
    this.lives.set(id, 100);
    for (const source of [...this.sources]) source.lose(id);
  }

  stop() {
    this.down = true;
    for (const source of [...this.sources]) source.fail(false);
  }
}

const after = (log, id) => (id ? log.slice(log.findIndex((e) => e.id === id) + 1) : log.slice(-1));

class FakeSource extends EventTarget {
  CLOSED = 2;
  readyState = 0;

  constructor(server, address) {
    super();
    this.server = server;
    const url = new URL(address);
    server.addresses.push(url.pathname + url.search);
    this.together = url.pathname === "/events/";
    this.ids = this.together ? url.searchParams.getAll("board") : [url.pathname.split("/")[2]];
    const last = url.searchParams.get("lastEventId") ?? "";
    this.at = new Map(this.together ? last.split(",").map((p) => p.split(":")) : [[this.ids[0], last]]);
    setTimeout(() => this.#connect(), 10);
  }

  #connect() {
    const { server } = this;
    if (this.readyState === 2) return;
    if (server.down) return this.fail(false);
    const there = this.ids.filter((id) => server.boards.has(id));
    if (there.length === 0 || (this.together && !server.several)) return this.fail(true);
    this.readyState = 1;
    server.sources.add(this);
    this.dispatchEvent(new Event("open"));
    for (const id of this.ids) {
      if (!there.includes(id)) this.lose(id);
      else for (const event of after(server.boards.get(id), this.at.get(id))) this.bring(id, event);
    }
  }

  bring(id, { id: eventId, event, data }) {
    if (!this.ids.includes(id) || this.readyState !== 1) return;
    this.at.set(id, eventId);
    const positions = [...this.at].filter(([board]) => board).map((pair) => pair.join(":"));
    const lastEventId = this.together ? positions.join(",") : eventId;
    this.dispatchEvent(new MessageEvent(event, { data, lastEventId }));
  }

  lose(id) {
    if (!this.ids.includes(id)) return;
    if (!this.together) return this.fail(false);
    this.at.set(id, "gone");
    const data = JSON.stringify({ id });
    this.dispatchEvent(new MessageEvent("gone", { data, lastEventId: `${id}:gone` }));
  }

  fail(forGood) {
    this.server.sources.delete(this);
    if (this.readyState === 2) return;
    this.readyState = forGood ? 2 : 0;
    this.dispatchEvent(new Event("error"));
  }

  close() {
    this.readyState = 2;
    this.server.sources.delete(this);
  }
}
