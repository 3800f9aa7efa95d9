/** Which language is spoken, of those that one has texts in. */

/** The language of a tag (BCP 47), without region and script. @param {string} tag */
export const languageOf = (tag) => tag.split("-", 1)[0];

/**
 * The first of the tags in `wanted` whose language is one of `known`, as `Intl` takes it; else
 * English. What is no tag is passed over.
 *
 * @param {readonly string[]} wanted  best first
 * @param {readonly string[]} known   languages
 */
export function localeOf(wanted, known) {
  for (const tag of wanted) {
    try {
      const [locale] = Intl.getCanonicalLocales(tag.replaceAll("_", "-"));
      if (locale && known.includes(languageOf(locale))) return locale;
    } catch {
      // addresses and attributes may say anything
    }
  }
  return "en";
}
