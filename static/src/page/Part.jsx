import { Component, Suspense } from "react";
import { text } from "./texts.js";

/**
 * Holds a part of the page that is loaded by itself: `fallback` stands there until it has come, and
 * a sentence where it can't be had, because the network or the build that it is from is gone.
 */
export class Part extends Component {
  state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  render() {
    const { children, fallback = null } = this.props;
    if (this.state.failed) return <p className="soft part-failed">{text("part_failed")}</p>;
    return <Suspense fallback={fallback}>{children}</Suspense>;
  }
}
