import { rowsOf } from "./rows.js";

/** How many rows go together in a request; the server takes ten times as many, and 4 MB. */
export const BATCH = 1_000;
const MOST_CHARACTERS = 1_000_000;
/** How many of the rows that were refused are kept, to be shown. */
export const MOST_SHOWN = 50;

/**
 * @typedef {object} Progress
 * @property {number} read       bytes of the file
 * @property {number} made       players
 * @property {number} changed
 * @property {number} same       submissions that changed nothing
 * @property {number} refused    rows
 * @property {{line: number, why: string | import("./rows.js").Wrong}[]} refusals  the first of them
 */

/**
 * Hands in a file of scores, a batch after the other, until its end or until `signal` is aborted:
 * what was sent before that has counted.
 *
 * @param {{size: number, stream: () => ReadableStream<Uint8Array>}} file
 * @param {"csv" | "ndjson"} format
 * @param {string} operator  of rows that name none; "" for the board's
 * @param {(rows: object[], signal: AbortSignal) => Promise<{status: number, detail?: string, changed?: boolean}[]>} submit
 * @param {(progress: Progress) => void} onProgress
 * @param {AbortSignal} signal
 * @returns {Promise<Progress>}
 * @throws {import("./rows.js").NoRows} and what `submit` throws
 */
export async function importFile(file, format, operator, submit, onProgress, signal) {
  const done = { read: 0, made: 0, changed: 0, same: 0, refused: 0, refusals: [] };
  let read = 0;
  async function* texts() {
    const decoder = new TextDecoder();
    const reader = file.stream().getReader();
    try {
      for (;;) {
        const { done: ended, value } = await reader.read();
        if (ended) break;
        read += value.byteLength;
        yield decoder.decode(value, { stream: true });
      }
      yield decoder.decode();
    } finally {
      await reader.cancel().catch(() => {});
    }
  }
  const refuse = (line, why) => {
    done.refused += 1;
    if (done.refusals.length < MOST_SHOWN) done.refusals.push({ line, why });
  };

  let batch = [];
  let characters = 0;
  async function flush() {
    if (batch.length > 0) {
      const results = await submit(batch.map(({ row }) => row), signal);
      results.forEach(({ status, detail, changed }, i) => {
        if (status === 201) done.made += 1;
        else if (status === 200) done[changed ? "changed" : "same"] += 1;
        else refuse(batch[i].line, detail ?? String(status));
      });
    }
    [batch, characters] = [[], 0];
    done.read = read;
    onProgress({ ...done, refusals: [...done.refusals] });
  }

  for await (const found of rowsOf(texts(), format, operator || undefined)) {
    signal.throwIfAborted();
    if ("wrong" in found) {
      refuse(found.line, found.wrong);
      continue;
    }
    batch.push(found);
    characters += JSON.stringify(found.row).length;
    if (batch.length >= BATCH || characters > MOST_CHARACTERS) await flush();
  }
  await flush();
  return done;
}
