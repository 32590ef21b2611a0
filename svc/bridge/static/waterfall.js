// Where the time of a turn went: one bar a call, pale while it waited in the queue, full while it ran.

import { el } from "./dom.js";
import { duration } from "./format.js";

const TICKS = 4;

export function waterfall(found) {
  const steps = found.steps;
  const last = Math.max(...steps.map((step) => step.start_ms + length(step)));
  const whole = Math.max(found.total_ms ?? 0, last, 1);
  return el(
    "div",
    { class: "waterfall" },
    el("p", { class: "ticks", "aria-hidden": "true" }, Array.from({ length: TICKS + 1 }, (_, k) => el("span", {}, duration((whole * k) / TICKS)))),
    el("ol", {}, steps.map((step) => bar(step, whole))),
  );
}

function bar(step, whole) {
  const status = step.status ?? "running";
  const [attempt, k] = step.n.split("-");
  const nth = attempt === "0" ? "" : k ? ` #${attempt}.${k}` : ` #${attempt}`;
  const waited = step.waited_ms ?? 0;
  const took = length(step);
  const told = status === "running" ? "still running" : duration(took);
  const percent = (ms) => `${((100 * ms) / whole).toFixed(2)}%`;
  return el(
    "li",
    { class: `step ${status}`, "data-service": step.service },
    el("p", { class: "step-head" }, el("span", { class: "step-name" }, `${step.service} ${step.method}${nth}`), el("span", { class: "figure" }, told)),
    el(
      "p",
      { class: "lane", "aria-hidden": "true", title: `waited ${duration(waited)}, ran ${duration(step.ms ?? 0)}` },
      el("i", { class: "waited", "--from": percent(step.start_ms), "--long": percent(waited) }),
      el("i", { class: "ran", "--from": percent(step.start_ms + waited), "--long": percent(Math.max(took - waited, 0)) }),
    ),
    step.detail ? el("p", { class: "detail" }, step.detail) : null,
  );
}

/** From stored request to stored reply, in ms. */
function length(step) {
  return step.total_ms ?? (step.waited_ms ?? 0) + (step.ms ?? 0);
}
