import { createRoot } from "react-dom/client";
import { App } from "./App.jsx";
import "./page.css";
import "./past.css";
import "./whole.css";

/** Has React draw the page from now on. @param {Element} page  whatever is in it goes at once */
export const takeOver = (page) => createRoot(page).render(<App />);
