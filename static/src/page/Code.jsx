import { useMemo } from "react";
import { drawn } from "./qr.js";
import { text } from "./texts.js";

/** An address as a QR code: dark on light in every theme, as cameras expect it. */
export default function Code({ address }) {
  const { size, path } = useMemo(() => drawn(address), [address]);
  return (
    <svg
      className="code"
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label={text("share_code", { address })}
      shapeRendering="crispEdges"
    >
      <rect width={size} height={size} fill="#ffffff" />
      <path d={path} fill="#000000" />
    </svg>
  );
}
