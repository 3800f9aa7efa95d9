import { createRoot } from "react-dom/client";
import { App } from "./App.jsx";
import { language, localeIn, speak } from "./texts.js";
import "./page.css";
import "./whole.css";

// Without `await`: the texts of a language may share a file with this module, and would wait for it.
void speak(localeIn(location.search, navigator.languages)).then(() => {
  document.documentElement.lang = language();
  createRoot(document.getElementById("page")).render(<App />);
});
