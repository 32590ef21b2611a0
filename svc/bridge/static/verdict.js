// What the gate thought: the total on a dial with its threshold, and the five parts as bars.

import { el, svg } from "./dom.js";
import { score } from "./format.js";

const RADIUS = 42;
const AROUND = 2 * Math.PI * RADIUS;
const SWEEP = 0.75;

const NAMES = {
  authenticity: "In character",
  flow: "Follows the talk",
  engagement: "Engaging",
  hallucination: "Sticks to facts",
  toxicity: "Decent",
};

/** A three-quarter dial, 0 at the lower left, 100 at the lower right. */
export function dial(verdict) {
  const arc = (share, kind) =>
    svg("circle", { class: kind, cx: 50, cy: 50, r: RADIUS, "stroke-dasharray": `${share * SWEEP * AROUND} ${AROUND}`, transform: "rotate(135 50 50)" });
  const share = Math.min(Math.max(verdict.score / 100, 0), 1);
  const angle = 135 + 270 * (verdict.threshold / 100);
  const told = `Score ${score(verdict.score)}, needed ${score(verdict.threshold)}`;
  return el(
    "figure",
    { class: verdict.accepted ? "dial passed" : "dial refused" },
    svg(
      "svg",
      { viewBox: "0 0 100 100", role: "img", "aria-label": told },
      arc(1, "track"),
      arc(share, "value"),
      svg("line", { class: "needed", x1: 50 + RADIUS - 7, y1: 50, x2: 50 + RADIUS + 7, y2: 50, transform: `rotate(${angle} 50 50)` }),
      svg("text", { x: 50, y: 57, "text-anchor": "middle" }, score(verdict.score)),
    ),
    el("figcaption", {}, `needs ${score(verdict.threshold)}`),
  );
}

export function parts(verdict) {
  return el("ul", { class: "parts" }, (verdict.components ?? []).map(part), verdict.stop ? el("li", { class: "stop" }, `Stopped at once: ${verdict.stop.replaceAll("_", " ")}`) : null);
}

function part(one) {
  const floor = one.floor ?? 0;
  const weight = Math.round(one.weight * (one.weight <= 1 ? 100 : 1));
  return el(
    "li",
    { class: one.score < floor ? "below" : null },
    el("span", { class: "part-name" }, NAMES[one.name] ?? one.name, el("small", {}, ` ${weight}%`)),
    el("span", { class: "figure" }, score(one.score)),
    el("span", { class: "gauge", "aria-hidden": "true", "--share": `${one.score}%` }, el("i")),
    one.found?.length ? el("span", { class: "found" }, one.found.join("; ")) : null,
  );
}
