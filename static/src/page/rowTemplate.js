/** The template of a row for the server, made when the page is built. */

import { pointRoom, row } from "./row.js";

const NAMES = { className: "class" };

/** Markup of an element; without styles, which the page's policy allows in no markup. @type {import("./row.js").Make} */
const markup = (tag, properties, ...children) => {
  const attributes = Object.entries(properties ?? {})
    .filter(([name]) => name !== "style" && name !== "key")
    .map(([name, value]) => ` ${NAMES[/** @type {keyof typeof NAMES} */ (name)] ?? name}="${value}"`);
  return `<${tag}${attributes.join("")}>${children.join("")}</${tag}>`;
};

/** With `${...}` in the places of what has to be put in, escaped. */
export const rowTemplate = () => {
  const names = ["id", "name", "place", "rank", "rankWord", "score", "size", "gap"];
  const facts = /** @type {import("./row.js").Facts} */ (
    Object.fromEntries(names.map((name) => [name, `\${${name}}`]))
  );
  return row(markup, facts, { digits: "${score}", point: pointRoom(markup) });
};
