/**
 * The rows of a file of scores, CSV or NDJSON, as `POST /boards/{board}/scores/` takes them. What the
 * files look like is in docs/moving-data.md; the command `import` reads the same ones.
 *
 * @typedef {{line: number, row: object} | {line: number, wrong: Wrong}} Line
 * @typedef {{key: "not_json" | "no_object" | "not_a_number" | "columns" | "long" | "quotes",
 *   values?: Record<string, string | number>}} Wrong
 */

/** The longest line, in characters. */
const LONGEST = 65_536;
const NEEDED = ["id", "score"];
const OPTIONAL = ["name", "meta", "operator"];
const IGNORED = ["rank"];
const NUMBER = /^-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,5})?$/;

/** A file that is none of scores. `key` says why, `values` with what. */
export class NoRows extends Error {
  /** @param {string} key @param {Record<string, string | number>} [values] */
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

/** @param {string} name @returns {"csv" | "ndjson" | null} */
export function formatOf(name) {
  if (/\.(csv|tsv)$/i.test(name)) return "csv";
  return /\.(ndjson|jsonl)$/i.test(name) ? "ndjson" : null;
}

/**
 * @param {AsyncIterable<string>} texts  the file, in pieces
 * @param {"csv" | "ndjson"} format
 * @param {string} [operator]  of rows that name none
 * @returns {AsyncGenerator<Line>}
 * @throws {NoRows}
 */
export async function* rowsOf(texts, format, operator) {
  const records = format === "csv" ? csvRows(texts) : ndjsonRows(texts);
  for await (const record of records) {
    if (operator && "row" in record) record.row = { operator, ...record.row };
    yield record;
  }
}

/** Lines with their ends. @param {AsyncIterable<string>} texts */
async function* linesOf(texts) {
  let rest = "";
  let first = true;
  for await (const piece of texts) {
    rest += first ? piece.replace(/^\uFEFF/, "") : piece;
    first = false;
    let from = 0;
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n", from)) {
      yield rest.slice(from, end + 1);
      from = end + 1;
    }
    rest = rest.slice(from);
    if (rest.length > LONGEST) throw new NoRows("long", { count: LONGEST });
  }
  if (rest) yield rest;
}

async function* ndjsonRows(texts) {
  let line = 0;
  for await (const raw of linesOf(texts)) {
    line += 1;
    const text = raw.trim();
    if (!text) continue;
    let row;
    try {
      row = JSON.parse(text);
    } catch {
      yield { line, wrong: { key: "not_json" } };
      continue;
    }
    if (typeof row !== "object" || row === null || Array.isArray(row)) {
      yield { line, wrong: { key: "no_object" } };
      continue;
    }
    for (const name of IGNORED) delete row[name];
    yield { line, row };
  }
}

async function* csvRows(texts) {
  let columns = null;
  let delimiter = ",";
  for await (const { line, text, whole } of csvRecords(texts)) {
    if (!columns) {
      [columns, delimiter] = header(text);
      continue;
    }
    if (!text.trim()) continue;
    const fields = whole ? fieldsOf(text, delimiter) : null;
    if (!fields) yield { line, wrong: { key: "quotes" } };
    else if (fields.length !== columns.length) {
      yield { line, wrong: { key: "columns", values: { found: fields.length, wanted: columns.length } } };
    } else yield { line, ...submission(columns, fields) };
  }
  if (!columns) header("");
}

/** Records, which may have line breaks between quotes. */
async function* csvRecords(texts) {
  let text = "";
  let [line, begun, quotes] = [0, 0, 0];
  for await (const raw of linesOf(texts)) {
    line += 1;
    if (!text) begun = line;
    text += raw;
    for (let at = raw.indexOf('"'); at >= 0; at = raw.indexOf('"', at + 1)) quotes += 1;
    if (text.length > LONGEST) throw new NoRows("long", { count: LONGEST });
    if (quotes % 2) continue;
    yield { line: begun, text: text.replace(/\r?\n$/, ""), whole: true };
    [text, quotes] = ["", 0];
  }
  if (text) yield { line: begun, text, whole: false };
}

/** The fields of a record; null if its quotes are none of RFC 4180. */
function fieldsOf(text, delimiter) {
  const fields = [];
  let at = 0;
  for (;;) {
    if (text[at] === '"') {
      let field = "";
      for (at += 1; ; ) {
        const end = text.indexOf('"', at);
        if (end < 0) return null;
        field += text.slice(at, end);
        at = end + 1;
        if (text[at] !== '"') break;
        field += '"';
        at += 1;
      }
      fields.push(field);
      if (at < text.length && text[at] !== delimiter) return null;
    } else {
      const end = text.indexOf(delimiter, at);
      fields.push(text.slice(at, end < 0 ? text.length : end));
      at = end < 0 ? text.length : end;
    }
    if (at >= text.length) return fields;
    at += 1;
    if (at === text.length) return [...fields, ""];
  }
}

/** The columns that a first line names, and what stands between them. @throws {NoRows} */
function header(text) {
  for (const delimiter of [",", ";", "\t"]) {
    const columns = (fieldsOf(text, delimiter) ?? []).map((name) => name.trim().toLowerCase());
    if (!NEEDED.every((name) => columns.includes(name))) continue;
    const known = new Set([...NEEDED, ...OPTIONAL, ...IGNORED]);
    if (columns.some((name) => !known.has(name)) || new Set(columns).size < columns.length) {
      throw new NoRows("header_unknown", { found: columns.join(", ").slice(0, 200) });
    }
    return [columns, delimiter];
  }
  throw new NoRows("header_missing");
}

function submission(columns, fields) {
  const found = Object.fromEntries(columns.map((name, i) => [name, fields[i]]));
  const score = found.score.trim();
  if (!NUMBER.test(score)) return { wrong: { key: "not_a_number" } };
  const row = { id: found.id, score: Number(score) };
  if (found.name) row.name = found.name;
  if (found.operator) row.operator = found.operator;
  if (found.meta) {
    try {
      row.meta = JSON.parse(found.meta);
    } catch {
      return { wrong: { key: "not_json" } };
    }
  }
  return { row };
}
