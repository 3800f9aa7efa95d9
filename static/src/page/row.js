/**
 * What a row of the standings consists of, wherever it is drawn: by React, before React is there, and
 * by the server, for which `rowTemplate.js` makes a template of it.
 *
 * @typedef {object} Facts  of a player, as they are shown
 * @property {string} id
 * @property {string} name
 * @property {string} place   the rank as a number for `data-rank`
 * @property {string} rank    as it is written
 * @property {string} rankWord
 * @property {string} score   as it is written
 * @property {string} size    of the score: `sizeOf`
 * @property {string} gap     to the next one, in words; may be empty
 * @property {number} [share]   how long its bar is, from 0 to 1
 * @property {string} [colour]  of CSS
 *
 * @typedef {object} Parts  what only some rows have, made by whatever draws them
 * @property {any} [digits]  in place of those that roll
 * @property {any} [moved]
 * @property {any} [change]
 * @property {any} [point]
 *
 * @typedef {(tag: string, properties: Record<string, any> | null, ...children: any[]) => any} Make
 *   makes an element, as React's `createElement` does; what is empty or null is no child
 */

/**
 * @param {Make} make
 * @param {Facts} facts
 * @param {Parts} [parts]
 */
export function row(make, facts, { digits, moved, change, point } = {}) {
  const { id, name, place, rank, rankWord, score, size, gap, share, colour } = facts;
  return make(
    "li",
    { className: "row", "data-id": id, "data-rank": place, style: { "--colour": colour } },
    make("span", { className: "bar", "aria-hidden": "true", style: { "--share": share } }),
    make("span", { className: "rank" }, make("span", { className: "spoken" }, `${rankWord} `), rank, moved),
    make(
      "span",
      { className: "who" },
      make("span", { className: "name", dir: "auto" }, name),
      make("span", { className: "gap" }, gap),
    ),
    make(
      "span",
      { className: "points" },
      make(
        "span",
        { className: "score", "data-size": size },
        make("span", { className: "spoken" }, score),
        make("span", { className: "digits", "aria-hidden": "true" }, digits ?? wheels(make, score)),
      ),
      change,
    ),
    point,
  );
}

/** The room of the button that a row has later. @param {Make} make */
export const pointRoom = (make) => make("span", { className: "point", "aria-hidden": "true" }, "+1");

/** How much room a score takes that is written like this. @param {string} score */
export const sizeOf = (score) => (score.length > 12 ? "huge" : score.length > 7 ? "long" : "short");

/** Digits that roll to their places. @param {Make} make @param {string} score */
function wheels(make, score) {
  return [...score].map((character, i) => {
    // Counted from the right, so that units stay units when a number gets longer.
    const key = `${score.length - i}`;
    if (!/\d/.test(character)) return make("span", { key: `c${key}` }, character);
    const wheel = { className: "wheel", style: { "--digit": Number(character) } };
    const digits = "0\n1\n2\n3\n4\n5\n6\n7\n8\n9";
    return make("span", { key: `d${key}`, className: "digit" }, make("span", wheel, digits));
  });
}
