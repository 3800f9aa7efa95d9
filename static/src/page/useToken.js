import { useSyncExternalStore } from "react";
import { onToken, token } from "./token.js";

/** The token that was entered on the page, "" for none. */
export const useToken = () => useSyncExternalStore(onToken, token);
