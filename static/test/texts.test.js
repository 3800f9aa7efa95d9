import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";
import { parseAst } from "rolldown/parseAst";
import { TEXTS } from "../src/live-board-texts.js";
import { date, language, localeIn, number, speak, text, time } from "../src/page/texts.js";
import de from "../src/page/texts/de.js";
import en from "../src/page/texts/en.js";
import es from "../src/page/texts/es.js";

const page = new URL("../src/page/", import.meta.url);

/** Every set of tables of the page, by the file or folder that has it. */
const tables = { page: { en, de, es }, component: TEXTS };
for (const name of await readdir(page, { recursive: true })) {
  if (/(^|\/)texts\.js$/.test(name) && name !== "texts.js") {
    tables[name] = (await import(new URL(name, page))).TEXTS;
  }
}

test("every language says the same things, with the same put in", () => {
  const forms = (entry) => (typeof entry === "string" ? [entry] : Object.values(entry));
  const holes = (entry) => forms(entry).map((form) => [...form.matchAll(/\{\w+\}/g)].flat().toSorted());
  for (const [where, languages] of Object.entries(tables)) {
    assert.deepEqual(Object.keys(languages).toSorted(), ["de", "en", "es"], where);
    for (const [name, table] of Object.entries(languages)) {
      assert.deepEqual(Object.keys(table).toSorted(), Object.keys(languages.en).toSorted(), `${where} ${name}`);
      for (const [key, entry] of Object.entries(table)) {
        for (const form of forms(entry)) assert.ok(form.trim(), `${where} ${name}.${key} is empty`);
        // The form for one may do without the number.
        const wanted = holes(languages.en[key]).at(-1);
        assert.deepEqual(holes(entry).at(-1), wanted, `${where} ${name}.${key}`);
        for (const found of holes(entry).flat()) assert.ok(wanted.includes(found), `${where} ${name}.${key}`);
      }
    }
  }
});

test("texts of several forms have those that their language needs", () => {
  for (const languages of Object.values(tables)) {
    for (const [name, table] of Object.entries(languages)) {
      // "many" of Spanish is for a million and more, and written like "other".
      const { pluralCategories } = new Intl.PluralRules(name).resolvedOptions();
      const needed = pluralCategories.filter((category) => category !== "many").toSorted();
      for (const [key, entry] of Object.entries(table)) {
        if (typeof entry !== "string") assert.deepEqual(Object.keys(entry).toSorted(), needed, `${name}.${key}`);
      }
    }
  }
});

test("the address says the language, or else the browser", () => {
  for (const [search, languages, expected] of [
    ["", ["de-AT", "en"], "de-AT"],
    ["", ["fr-FR", "es-419", "en"], "es-419"],
    ["", ["fr", "ja"], "en"],
    ["", undefined, "en"],
    ["?lang=es", ["de"], "es"],
    ["?lang=DE-ch", ["en"], "de-CH"],
    ["?lang=fr", ["de"], "de"],
    ["?lang=%00%22", ["de"], "de"],
    ["?lang=de_DE", ["en"], "de-DE"],
    ["?lang=", ["es"], "es"],
  ]) {
    assert.equal(localeIn(search, languages), expected, search);
  }
});

test("texts, numbers and dates are those of the language", async (t) => {
  t.after(() => speak("en"));
  const noon = new Date(2026, 10, 3, 14, 3).getTime();
  await speak("en");
  assert.equal(text("whole_count", { count: 1 }), "1 player");
  assert.equal(text("whole_count", { count: 1_204 }), "1,204 players");
  assert.match(date(noon), /Nov 3, 2026/);
  await speak("de-AT");
  assert.equal(language(), "de");
  assert.equal(text("to_next", { score: 1234.5, points: 7 }), `${number(1234.5)}, 7 bis zum nächsten`);
  assert.match(number(12_345.678), /^12\D345,68$/);
  assert.match(time(noon), /14:03/);
  await speak("es");
  assert.equal(text("moved_up", { count: 1 }), ", sube 1 puesto en una hora");
  assert.equal(text("whole_count", { count: 2_000_000 }).replaceAll(/\D/g, ""), "2000000");
  assert.equal(number(12_345.5), "12.345,5");
  // What is put in is put in as it is.
  assert.equal(text("add_point", { name: "{name} $& {count}" }), "+1 para {name} $& {count}");
});

/** Attributes that people see or hear. */
const SHOWN = new Set(["aria-label", "aria-valuetext", "aria-description", "aria-roledescription", "title", "placeholder", "alt", "label"]);
/** Calls whose arguments are shown or spoken. */
const TELLS = /^(tell|setSpoken|setTrouble|setNote|onTrouble|onSaid)$/;
/** Calls whose first argument is the key of a text. */
const TEXT = /^(text|admin|say|season)$/;
/** What compares, picks or calls back, and shows none of what is written in it. */
const UNSEEN = new Set(["BinaryExpression", "MemberExpression", "ArrowFunctionExpression"]);

/** The literals with words that `node` shows. @returns {string[]} */
function words(node) {
  if (!node || typeof node !== "object") return [];
  if (Array.isArray(node)) return node.flatMap(words);
  const { type } = node;
  if (UNSEEN.has(type)) return [];
  if (type === "JSXText" || type === "Literal") return wordsIn(node.value);
  if (type === "TemplateElement") return wordsIn(node.value.cooked);
  if (type === "ConditionalExpression") return [node.consequent, node.alternate].flatMap(words);
  if (type === "CallExpression" && TEXT.test(node.callee.name ?? "")) return [];
  if (type === "JSXElement" || type === "JSXFragment") return []; // looked at by itself
  return Object.values(node).flatMap(words);
}
const wordsIn = (value) => (typeof value === "string" && /\p{L}{2}/u.test(value) ? [value.trim()] : []);
const attribute = ({ name }) => name.name;

/** What is shown, in the syntax tree of a file: children and some attributes of elements, and calls. */
function* shown(node) {
  if (!node || typeof node !== "object") return;
  if (node.type === "JSXElement" || node.type === "JSXFragment") {
    yield* node.children;
    for (const attr of node.openingElement?.attributes ?? []) {
      if (attr.type === "JSXAttribute" && SHOWN.has(attribute(attr))) yield attr.value;
    }
  }
  if (node.type === "CallExpression" && TELLS.test(node.callee.name ?? "")) yield* node.arguments;
  for (const child of Object.values(node)) {
    if (child && typeof child === "object") yield* shown(child);
  }
}

const literals = (source) =>
  [...shown(parseAst(source, { lang: "jsx" }))].flatMap(words);

test("a text that is written where it is shown is found", () => {
  for (const [source, expected] of [
    ["<p>Hello there</p>", ["Hello there"]],
    ['<p aria-label="A list">{x}</p>', ["A list"]],
    ["<p title={`${n} places`}/>", ["places"]],
    ['<p>{on ? "Stop it" : text("go")}</p>', ["Stop it"]],
    ['tell("Done now")', ["Done now"]],
    ["onTrouble(`failed: ${x}`, error)", ["failed:"]],
    ['<p className="a b" data-x="c d">{text("key", { name: "x" })}</p>', []],
    ["<p>+1 {text(was ? 'a_b' : 'c_d')}</p>", []],
    ['<p>{x === "nobody" ? 1 : 2}</p>', []],
  ]) {
    assert.deepEqual(literals(source), expected, source);
  }
});

test("nothing on the page is said but by the tables", async () => {
  const names = (await readdir(page, { recursive: true })).filter((name) => /\.jsx?$/.test(name));
  assert.ok(names.length > 20);
  const found = [];
  for (const name of names) {
    for (const literal of literals(await readFile(new URL(name, page), "utf-8"))) found.push(`${name}: ${literal}`);
  }
  assert.deepEqual(found, ["App.jsx: tornado_board"]); // its name is the same everywhere
});

test("every text is used, and every one that is used is there", async () => {
  const names = (await readdir(page, { recursive: true })).filter((name) => /\.jsx?$/.test(name) && !name.includes("texts"));
  const sources = await Promise.all(names.map((name) => readFile(new URL(name, page), "utf-8")));
  const all = sources.join("\n");
  const component = new Set(Object.keys(TEXTS.en));
  for (const key of Object.keys(en)) {
    if (component.has(key) || key.startsWith("why_")) continue;
    assert.ok(all.includes(`"${key}"`), `${key} is not used`);
  }
  for (const [, key] of all.matchAll(/\btext\(\s*"(\w+)"/g)) assert.ok(key in en, `${key} is not there`);
  const managing = tables["admin/texts.js"].en;
  for (const [, key] of all.matchAll(/\badmin\(\s*"(\w+)"/g)) assert.ok(key in managing, `${key} is not there`);
});
