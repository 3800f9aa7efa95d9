import { memo, useEffect, useRef, useState } from "react";
import { LEAST_SPAN, SPAN } from "./history.js";
import { isolate, shorten } from "./names.js";
import { axisLabels, runs, spread, ticks } from "./plot.js";
import { currentLocale, text } from "./texts.js";

/** How often the chart moves on while nothing happens. */
const STEP = 1_000;
/** Room around the plot, in rem; names stand at the right where there is enough room. */
const EDGE = { top: 0.8, right: 0.8, bottom: 2, left: 1.2, names: 6.5 };
/** The width of a digit, in rem, and the least for the labels at the left. */
const DIGIT = 0.44;
const LEAST_LABEL = 2;
const TICKS = 4;
const NAMES_FROM = 24;
const NAME_LENGTH = 11;
/** How many players have a line: with more, none could be told from the others. */
const LINES = 10;

/** How often it is drawn at most, however fast a board changes. */
const LEAST = 250;

/** The scores of the best on the board over the last minutes. */
export default function Chart(props) {
  return <Plot {...useSteady(props, LEAST)} />;
}

/** `value` as it was at most `least` milliseconds ago: it changes no more often than that. */
function useSteady(value, least) {
  const [steady, setSteady] = useState(value);
  const latest = useRef(value);
  latest.current = value;
  const { snapshots, players } = value;
  const timer = useRef(0);
  useEffect(() => {
    timer.current ||= setTimeout(() => {
      timer.current = 0;
      setSteady(latest.current);
    }, least);
  }, [snapshots, players, least]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return steady;
}

const Plot = memo(function Plot({ players: shown, snapshots, ahead, colourOf }) {
  const players = shown.slice(0, LINES);
  const [box, { width, height, rem }] = useSize();
  const now = useNow(STEP) - ahead;
  // Clocks are not that exact: what has just come is never beyond the right edge.
  const end = Math.max(now, snapshots.at(-1)?.time ?? 0);
  const span = Math.min(SPAN, Math.max(LEAST_SPAN, end - (snapshots[0]?.time ?? end)));
  const from = end - span;

  const lines = players.map((player) => ({
    player,
    runs: runs(snapshots, player.id, from, end),
  }));
  const scores = lines.flatMap((line) => line.runs.flatMap((run) => run.map(({ score }) => score)));
  const low = scores.length ? Math.min(...scores) : 0;
  const high = scores.length ? Math.max(...scores) : 1;
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  const [bottom, top] = [low - room, high + room];

  const named = width >= NAMES_FROM * rem;
  const scale = ticks(bottom, top, TICKS);
  const labels = axisLabels(scale, currentLocale());
  const longest = Math.max(...labels.map((label) => label.length), 0);
  const left = (EDGE.left + Math.max(LEAST_LABEL, longest * DIGIT)) * rem;
  const right = width - (named ? EDGE.names : EDGE.right) * rem;
  const floor = height - EDGE.bottom * rem;
  const x = (time) => left + ((time - from) / span) * (right - left);
  const y = (score) =>
    EDGE.top * rem + (1 - (score - bottom) / (top - bottom)) * (floor - EDGE.top * rem);
  const path = (run) => {
    const steps = run.map(({ time, score }, i) => {
      const [across, up] = [x(time).toFixed(1), y(score).toFixed(1)];
      return i === 0 ? `M${across} ${up}` : `H${across}V${up}`;
    });
    return `${steps.join("")}H${x(run.end).toFixed(1)}`;
  };
  const names = spread(players.map(({ score }) => y(score)), 1.15 * rem, floor);

  return (
    <section className="panel chart" aria-labelledby="chart">
      <h2 id="chart">{text("chart")}</h2>
      <div className="plot" ref={box}>
        {width > 0 && (
          <svg width={width} height={height} role="img" aria-label={describe(lines)}>
            {scale.map((score, i) => (
              <g key={score}>
                <line className="grid" x1={left} x2={right} y1={y(score)} y2={y(score)} />
                <text className="tick" x={left - 0.6 * rem} y={y(score)} dy="0.35em" textAnchor="end">
                  {labels[i]}
                </text>
              </g>
            ))}
            {marks(span).map(([before, label]) => (
              <text
                key={label}
                className="tick"
                x={x(end - before)}
                y={height - 0.4 * rem}
                textAnchor="middle"
              >
                {label}
              </text>
            ))}
            {lines
              .map(({ player, runs: drawn }, i) => (
                <g key={player.id} className="line" style={{ "--colour": colourOf(player.id) }}>
                  {drawn.map((run) => (
                    <path key={run[0].time} d={path(run)} />
                  ))}
                  <circle cx={x(end)} cy={y(player.score)} />
                  {named && (
                    <text x={right + 0.8 * rem} y={names[i]} dy="0.35em">
                      {isolate(shorten(player.name, NAME_LENGTH))}
                    </text>
                  )}
                </g>
              ))
              .reverse()}
          </svg>
        )}
      </div>
    </section>
  );
});

/** What stands below the plot: `[milliseconds before now, text]`. */
function marks(span) {
  const seconds = span < 150_000 ? 30 : 60;
  const found = [[0, text("chart_now")]];
  for (let before = seconds; before * 1_000 <= span; before += seconds) {
    const label =
      seconds < 60
        ? text("chart_seconds", { count: before })
        : text("chart_minutes", { count: before / 60 });
    found.push([before * 1_000, label]);
  }
  return found;
}

function describe(lines) {
  const told = lines
    .filter(({ runs: drawn }) => drawn.length > 0)
    .map(({ player, runs: drawn }) => {
      const first = drawn[0][0].score;
      const { name, score } = player;
      return first === score
        ? text("chart_same", { name, score })
        : text("chart_changed", { name, from: first, score });
    });
  return told.length ? text("chart_scores", { scores: told.join("; ") }) : text("chart_empty");
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

/** A ref for an element, its size and what a rem is, all in CSS pixels. */
function useSize() {
  const ref = useRef(null);
  const [size, setSize] = useState({ width: 0, height: 0, rem: 16 });
  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => {
      const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
      setSize({ width: Math.round(contentRect.width), height: Math.round(contentRect.height), rem });
    });
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return [ref, size];
}
