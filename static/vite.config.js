import { readFile, readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { fileURLToPath } from "node:url";
import { brotliCompress, constants, gzip } from "node:zlib";
import { build, defineConfig } from "vite";
import { rowTemplate } from "./src/page/rowTemplate.js";

const out = fileURLToPath(new URL("build/", import.meta.url));

/** Compresses once, at build time and as well as can be, what the server then sends as it is. */
const compress = {
  name: "compress",
  apply: "build",
  async closeBundle() {
    const folder = join(out, "assets");
    for (const name of await readdir(folder)) {
      const body = await readFile(join(folder, name));
      const params = {
        [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
        [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
      };
      await writeFile(join(folder, `${name}.br`), await promisify(brotliCompress)(body, { params }));
      await writeFile(join(folder, `${name}.gz`), await promisify(gzip)(body, { level: 9 }));
    }
    // A server that runs reads the build when this file changes; it should find all of it.
    await utimes(join(out, "manifest.json"), new Date(), new Date());
  },
};

const target = ["chrome123", "firefox120", "safari17.5"];

/**
 * The web component in a file of its own, without imports: the server gives it a name that stays,
 * since other sites name it.
 */
const component = {
  name: "component",
  apply: "build",
  async generateBundle() {
    const entry = fileURLToPath(new URL("src/live-board.js", import.meta.url));
    const outcome = await build({
      configFile: false,
      logLevel: "warn",
      build: {
        write: false,
        target,
        modulePreload: { polyfill: false },
        rollupOptions: { input: entry },
      },
    });
    const [{ output }] = [outcome].flat();
    const [{ code }] = output;
    this.emitFile({
      type: "asset",
      name: "live-board.js",
      originalFileName: "src/live-board.js",
      source: code,
    });
  },
};

/** What a row looks like, for the server, which puts the first ones into the page. */
const rows = {
  name: "rows",
  apply: "build",
  generateBundle() {
    this.emitFile({ type: "asset", fileName: "row.html", source: rowTemplate() });
  },
};

export default defineConfig({
  base: "./", // the server knows below which path it is
  plugins: [component, rows, compress],
  build: {
    outDir: out,
    emptyOutDir: true,
    manifest: "manifest.json",
    license: { fileName: "licenses.md" }, // of what is in the bundle; a wheel passes it on
    assetsDir: "assets",
    assetsInlineLimit: 0, // the page's policy allows no data: addresses
    modulePreload: { polyfill: false },
    target,
    rollupOptions: {
      input: {
        page: "src/page/main.js",
        first: "src/page/first.css",
        docs: "src/docs/main.js",
        icon: "src/page/icon.svg",
      },
      output: {
        codeSplitting: {
          // What the page begins with is one file; React, which changes more rarely than the rest, is
          // another, and what it draws first a third. What is loaded later has chunks of its own.
          groups: [
            { name: "react", test: /node_modules[\\/](react|react-dom|scheduler)[\\/]/ },
            { name: "page", tags: ["$initial"], test: /src[\\/](?!docs[\\/]).*\.jsx?$/ },
          ],
        },
      },
    },
  },
});
