import { textsOf } from "../texts.js";
import de from "./texts-de.js";
import en from "./texts-en.js";
import es from "./texts-es.js";

/** What the part that manages boards says, by language. */
export const TEXTS = { en, de, es };

/** As `text()` of the page. */
export const admin = textsOf(TEXTS);
