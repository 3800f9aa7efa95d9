import { createRoot } from "react-dom/client";
import { App } from "./App.jsx";
import { language, localeIn, speak } from "./texts.js";
import "./page.css";
import "./whole.css";

await speak(localeIn(location.search, navigator.languages));
document.documentElement.lang = language();
createRoot(document.getElementById("page")).render(<App />);
