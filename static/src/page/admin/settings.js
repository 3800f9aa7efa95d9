/** What the form of a board holds, and what of it is sent. */

/** How a season ends: what `every` of the API is, or one that the form has words for. */
export const EVERY = ["none", "hand", "day", "week", "month", "cron"];

const KNOWN = new Set(["day", "week", "month"]);

/** The form of a board; of a new one without `board`. */
export function formOf(board = {}) {
  const { season = null } = board;
  const every = season?.every ?? null;
  return {
    id: board.id ?? "",
    name: board.name ?? "",
    order: board.order ?? "desc",
    ties: board.ties ?? "id",
    operator: board.operator ?? "best",
    top: String(board.top ?? 5),
    min: written(board.min),
    max: written(board.max),
    private: board.private ?? false,
    show: board.show?.includes("meta") ?? false,
    every: !season ? "none" : every === null ? "hand" : KNOWN.has(every) ? every : "cron",
    cron: every !== null && !KNOWN.has(every) ? every : "",
    timezone: season?.timezone ?? "UTC",
    keep: String(season?.keep ?? 12),
    meta: Object.keys(board.meta ?? {}).length ? JSON.stringify(board.meta, null, 2) : "",
  };
}

const written = (bound) => (typeof bound === "number" ? String(bound) : "");

/**
 * What of `form` is another than in `before`, as the API takes it. What is no number is sent as it
 * is typed, and the server says what is wrong with it.
 *
 * @param {ReturnType<typeof formOf>} form
 * @param {ReturnType<typeof formOf>} [before]  of a new board: what it is without being told
 * @throws {SyntaxError} if meta is no JSON
 */
export function changesOf(form, before = formOf()) {
  const changed = (...names) => names.some((name) => form[name] !== before[name]);
  const body = {};
  for (const name of ["id", "name"]) if (changed(name) && form[name].trim()) body[name] = form[name].trim();
  for (const name of ["order", "ties", "operator", "private"]) if (changed(name)) body[name] = form[name];
  if (changed("top")) body.top = numberIn(form.top);
  for (const name of ["min", "max"]) if (changed(name)) body[name] = numberIn(form[name]);
  if (changed("show")) body.show = form.show ? ["meta"] : [];
  if (changed("every", "cron", "timezone", "keep")) {
    body.season = form.every === "none" ? null : seasonOf(form);
    if (body.season === null && before.every === "none") delete body.season;
  }
  if (changed("meta")) body.meta = merging(parsed(form.meta), parsed(before.meta));
  return body;
}

const seasonOf = ({ every, cron, timezone, keep }) => ({
  every: every === "hand" ? null : every === "cron" ? cron.trim() : every,
  timezone: timezone.trim(),
  keep: numberIn(keep),
});

/** null for nothing at all. */
function numberIn(text) {
  const found = text.trim();
  if (!found) return null;
  const number = Number(found);
  return Number.isFinite(number) ? number : found;
}

const parsed = (text) => (text.trim() ? JSON.parse(text) : {});

/** What makes `now` of `before` when it is merged into it (RFC 7396): what is gone is null. */
function merging(now, before) {
  if (!isObject(now) || !isObject(before)) return now;
  const gone = Object.keys(before).filter((key) => !(key in now));
  const patch = Object.fromEntries(gone.map((key) => [key, null]));
  for (const [key, value] of Object.entries(now)) {
    patch[key] = key in before ? merging(value, before[key]) : value;
  }
  return patch;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
