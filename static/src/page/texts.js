/** What the page says, and how it writes numbers and times: in the language of who looks. */

import { languageOf, localeOf } from "../languages.js";
import en from "./texts/en.js";

/**
 * @typedef {keyof typeof en} Text
 * @typedef {Record<Text, string | Partial<Record<Intl.LDMLPluralRule, string>>>} Table
 */

/** The languages besides English; each is loaded where it is wanted. */
const OTHERS = {
  de: () => import("./texts/de.js"),
  es: () => import("./texts/es.js"),
};

/** The languages that there are texts in. */
export const LANGUAGES = ["en", ...Object.keys(OTHERS)];

/**
 * What is to be spoken: the language that the address names (`?lang=`), else the first of the
 * browser's that the page knows, else English.
 *
 * @param {string} search                 the query of the address
 * @param {readonly string[]} [languages]  those of the browser, best first
 * @returns {string} a language tag (BCP 47), with the region if one is named
 */
export function localeIn(search, languages = []) {
  const asked = new URLSearchParams(search).get("lang");
  return localeOf(asked ? [asked, ...languages] : languages, LANGUAGES);
}

/** @type {Table} */
let table = en;
let locale = "en";
let rules = new Intl.PluralRules(locale);
let numbers = new Intl.NumberFormat(locale, { maximumFractionDigits: 2 });

/** The language tag that numbers and dates are written by; the texts are of its language. */
export const currentLocale = () => locale;

/** The language of the texts: `en`, `de`, `es`. */
export const language = () => languageOf(locale);

/**
 * Speaks the language of `wanted` from now on; English where its texts can't be had.
 *
 * @param {string} wanted  what `localeIn` found
 */
export async function speak(wanted) {
  const load = OTHERS[/** @type {keyof typeof OTHERS} */ (languageOf(wanted))];
  let found = wanted;
  try {
    table = load ? (await load()).default : en;
  } catch {
    [table, found] = [en, "en"]; // offline, or from a build that is gone
  }
  locale = found;
  rules = new Intl.PluralRules(locale);
  numbers = new Intl.NumberFormat(locale, { maximumFractionDigits: 2 });
}

/**
 * The text of a key, with `values` in the places of `{...}`: numbers are written as people of this
 * language write them. Of a text with several forms, the one for the number `values.count`.
 *
 * @param {Text} key
 * @param {Record<string, string | number>} [values]
 */
export const text = (key, values) => fill(table[key], values);

/**
 * The same of other tables, such as those of a part that is loaded later.
 *
 * @template {string} Key
 * @param {Record<string, Record<Key, string | Partial<Record<Intl.LDMLPluralRule, string>>>>} tables
 *   by language
 * @returns {(key: Key, values?: Record<string, string | number>) => string}
 */
export const textsOf = (tables) => (key, values) => fill((tables[language()] ?? tables.en)[key], values);

/**
 * @param {string | Partial<Record<Intl.LDMLPluralRule, string>>} found
 * @param {Record<string, string | number>} [values]
 */
function fill(found, values = {}) {
  const form = typeof found === "string" ? found : (found[rules.select(Number(values.count))] ?? found.other ?? "");
  return form.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? number(value) : value;
  });
}

/** A number as people write it, with two decimal places at the most. @param {number} value */
export const number = (value) => numbers.format(value);

/** A time of today, or a day and a time. @param {number} time  ms since 1970 */
export function time(time) {
  const today = new Date(time).toDateString() === new Date().toDateString();
  const day = today ? {} : /** @type {const} */ ({ day: "numeric", month: "short" });
  return new Intl.DateTimeFormat(locale, { ...day, hour: "numeric", minute: "2-digit" }).format(time);
}

/** A day and a time. @param {number | string} when  ms since 1970, or as ISO 8601 writes it */
export const date = (when) =>
  new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(new Date(when));
