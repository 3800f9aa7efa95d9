import { createRoot } from "react-dom/client";
import { App } from "./App.jsx";
import "./page.css";
import "./whole.css";

createRoot(document.getElementById("page")).render(<App />);
