const TEXTS = {
  connecting: ["Connecting", "Waiting for the first news of the board"],
  live: ["Live", "Every change comes over the stream, at once"],
  polling: [
    "Polling",
    "Changes come by long-polling: streams do not get through here, or too many boards are open",
  ],
  reconnecting: ["Reconnecting", "The server does not answer; trying again"],
  offline: ["Offline", "This device has no network; trying again when it has"],
  missing: ["No such board", "The server has no such board"],
  refused: ["Private", "Reading this board needs a token"],
  paused: ["Paused", "The page was hidden for long"],
  closed: ["Closed", ""],
};

/** How the board is listened to. Screen readers hear of it from the Announcer. */
export function State({ state }) {
  const [text, explanation] = TEXTS[state];
  return (
    <p className="state" data-state={state} title={explanation}>
      <span className="lamp" aria-hidden="true" />
      {text}
    </p>
  );
}
