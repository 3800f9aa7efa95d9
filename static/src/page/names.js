/** Names as people see them: characters of several code points, and both directions of writing. */

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** What takes the room of two letters: emoji, and the scripts of East Asia. */
const WIDE =
  /\p{Emoji_Presentation}|\uFE0F|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\u3000-\u303F\uFF01-\uFF60]/u;

/** `name` without its end, and with an ellipsis, if it is wider than `columns` letters. */
export function shorten(name, columns) {
  let width = 0;
  let kept = "";
  for (const { segment } of segmenter.segment(name)) {
    width += WIDE.test(segment) ? 2 : 1;
    // What fits but leaves no room for the ellipsis goes too, unless it is the last.
    if (width > columns) return `${kept}…`;
    if (width < columns) kept += segment;
  }
  return name;
}

/** The longest name that can be typed here, and the longest that the server takes, in code points. */
const MOST_CHARACTERS = 60;
const MOST_CODE_POINTS = 200;

/** As much of what was typed as may be a name. `maxlength` would count, and cut, emoji in pieces. */
export function limited(text) {
  let [kept, codePoints, characters] = ["", 0, 0];
  for (const { segment } of segmenter.segment(text)) {
    codePoints += [...segment].length;
    characters += 1;
    if (characters > MOST_CHARACTERS || codePoints > MOST_CODE_POINTS) break;
    kept += segment;
  }
  return kept;
}

/** `text` so that its direction of writing does not mix with what stands around it (UAX #9). */
export const isolate = (text) => `\u2068${text}\u2069`;
