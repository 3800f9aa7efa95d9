/**
 * Follows a board over EventSource, for as long as the page is open.
 *
 * The browser comes back by itself, and goes on after the last event; where a server, or a proxy
 * before it, answers with an error, it gives up, and this tries again.
 *
 * @param {URL} events  the board's `events/`
 * @param {{update(board), season(board), state(live)}} on  what is called: with the board as it is,
 *   with the final board of a season that is over, and with whether there is a connection
 */
export function follow(events, on) {
  let last = "";

  function open() {
    const address = new URL(events);
    if (last) address.searchParams.set("lastEventId", last);
    const source = new EventSource(address);
    source.addEventListener("open", () => on.state(true));
    for (const type of ["update", "season"]) {
      source.addEventListener(type, ({ data, lastEventId }) => {
        last = lastEventId;
        on[type](JSON.parse(data));
      });
    }
    // `reset` says that events were missed for good. An `update` with the board as it is follows,
    // which is all that is shown here.
    source.addEventListener("error", () => {
      on.state(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 3_000 + 3_000 * Math.random());
    });
  }

  open();
}
