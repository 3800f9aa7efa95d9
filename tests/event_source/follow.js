// Follows the event stream at the URL given, and prints each event as a line of JSON. It reconnects
// by itself, as any EventSource does, and ends when its standard input does.
import process from "node:process";

import { EventSource } from "eventsource";

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const source = new EventSource(process.argv[2]);
for (const type of ["update", "reset", "message"]) {
  source.addEventListener(type, (event) => {
    print({ type: event.type, id: event.lastEventId, data: event.data });
  });
}
source.addEventListener("open", () => print({ type: "open" }));
source.addEventListener("error", (event) => {
  print({ type: "error", code: event.code, closed: source.readyState === source.CLOSED });
});

process.stdin.on("end", () => source.close());
process.stdin.resume();
