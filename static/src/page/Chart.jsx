import { useEffect, useRef, useState } from "react";
import { SPAN, runs, ticks } from "./history.js";

const EDGE = { top: 12, right: 14, bottom: 26, left: 52 };
/** How often the chart moves on while nothing happens. */
const STEP = 1_000;

/** The scores of those on the board over the last minutes. */
export function Chart({ players, snapshots, ahead, colourOf }) {
  const [box, { width, height }] = useSize();
  const now = useNow(STEP) - ahead;
  // Clocks are not that exact: what has just come is never beyond the right edge.
  const end = Math.max(now, snapshots.at(-1)?.time ?? 0);
  const from = end - SPAN;

  const lines = players.map((player) => ({
    player,
    runs: runs(snapshots, player.id, from, end),
  }));
  const scores = lines.flatMap((line) => line.runs.flatMap((run) => run.map(({ score }) => score)));
  const low = scores.length ? Math.min(...scores) : 0;
  const high = scores.length ? Math.max(...scores) : 1;
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  const [bottom, top] = [low - room, high + room];

  const x = (time) => EDGE.left + ((time - from) / SPAN) * (width - EDGE.left - EDGE.right);
  const y = (score) =>
    EDGE.top + (1 - (score - bottom) / (top - bottom)) * (height - EDGE.top - EDGE.bottom);
  const path = (run) =>
    run
      .map(({ time, score }, i) =>
        i === 0 ? `M${x(time).toFixed(1)} ${y(score).toFixed(1)}` : `H${x(time).toFixed(1)}V${y(score).toFixed(1)}`,
      )
      .join("") + `H${x(run.end).toFixed(1)}`;

  return (
    <section className="panel chart" aria-labelledby="chart">
      <h2 id="chart">Last five minutes</h2>
      <div className="plot" ref={box}>
        {width > 0 && (
          <svg width={width} height={height} role="img" aria-label={describe(lines)}>
            {ticks(bottom, top).map((score) => (
              <g key={score}>
                <line className="grid" x1={EDGE.left} x2={width - EDGE.right} y1={y(score)} y2={y(score)} />
                <text className="tick" x={EDGE.left - 8} y={y(score)} dy="0.35em" textAnchor="end">
                  {short.format(score)}
                </text>
              </g>
            ))}
            {[5, 4, 3, 2, 1].map((minutes) => (
              <text
                key={minutes}
                className="tick"
                x={x(end - minutes * 60_000)}
                y={height - 6}
                textAnchor={minutes === 5 ? "start" : "middle"}
              >
                {`−${minutes}′`}
              </text>
            ))}
            <text className="tick" x={width - EDGE.right} y={height - 6} textAnchor="end">
              now
            </text>
            {lines.toReversed().map(({ player, runs: drawn }) => (
              <g key={player.id} className="line" style={{ "--colour": colourOf(player.id) }}>
                {drawn.map((run) => (
                  <path key={run[0].time} d={path(run)} />
                ))}
                <circle cx={x(end)} cy={y(player.score)} r="4.5" />
              </g>
            ))}
          </svg>
        )}
      </div>
    </section>
  );
}

const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });

function describe(lines) {
  const told = lines
    .filter(({ runs: drawn }) => drawn.length > 0)
    .map(({ player, runs: drawn }) => {
      const first = drawn[0][0].score;
      return first === player.score
        ? `${player.name} at ${player.score.toLocaleString()}`
        : `${player.name} from ${first.toLocaleString()} to ${player.score.toLocaleString()}`;
    });
  return told.length ? `Scores: ${told.join("; ")}` : "No scores yet";
}

/** The time, every `step` milliseconds while the page is shown. */
function useNow(step) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || setNow(Date.now()), step);
    return () => clearInterval(timer);
  }, [step]);
  return now;
}

/** A ref for an element, and its size in CSS pixels. */
function useSize() {
  const ref = useRef(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => {
      setSize({ width: Math.round(contentRect.width), height: Math.round(contentRect.height) });
    });
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return [ref, size];
}
