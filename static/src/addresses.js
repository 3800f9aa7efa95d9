/**
 * Addresses as text. React Native's `URL` can be made and shown, and throws where one asks for
 * its parts; so nothing on the way of a stream or a submission uses more of it.
 */

/**
 * A whole address, without a fragment.
 *
 * @param {string | URL} address  a whole one, or one relative to `base`
 * @param {string} [base]  the page's, by default
 * @returns {string}
 * @throws {TypeError} if it is relative, and there is nothing that it is relative to
 */
export function absolute(address, base = globalThis.location?.href) {
  const text = String(address);
  let whole = "";
  if (/^https?:\/\/[^/?#]/i.test(text)) whole = text;
  else if (base && /^\/(?!\/)/.test(text)) whole = originOf(base) + text;
  else if (base) whole = new URL(text, base).href;
  if (!whole) throw new TypeError(`${text} is no whole address; such as https://boards.example/`);
  return whole.split("#", 1)[0];
}

/** @param {string} address  a whole one @returns {string} e.g. `https://boards.example` */
export function originOf(address) {
  return address.match(/^[a-z]+:\/\/[^/?#]+/i)?.[0] ?? "";
}

/** @param {string} address  a whole one @returns {string} its path, `/` at least */
export function pathOf(address) {
  return address.slice(originOf(address).length).split("?", 1)[0] || "/";
}

/**
 * `address` with what has a value in `query` behind what it has already.
 *
 * @param {string} address
 * @param {Record<string, string | number | undefined>} query
 * @returns {string}
 */
export function withQuery(address, query) {
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`);
  if (pairs.length === 0) return address;
  return `${address}${address.includes("?") ? "&" : "?"}${pairs.join("&")}`;
}
