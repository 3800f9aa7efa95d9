import { encode } from "uqr";

/** How many modules stay white around a code (ISO/IEC 18004, 6.3.8). */
const QUIET = 4;

/**
 * A QR code as a drawing.
 *
 * @param {string} text
 * @returns {{size: number, path: string}} `size`: modules across, with the quiet zone; `path`: the
 *   dark ones, each a square of 1, as SVG draws them
 */
export function drawn(text) {
  const { data } = encode(text, { ecc: "M", border: 0 });
  let path = "";
  data.forEach((row, y) => {
    for (let x = 0; x < row.length; x += 1) {
      if (!row[x]) continue;
      const begin = x;
      while (row[x + 1]) x += 1;
      path += `M${begin + QUIET} ${y + QUIET}h${x - begin + 1}v1h${begin - x - 1}z`;
    }
  });
  return { size: data.length + 2 * QUIET, path };
}
