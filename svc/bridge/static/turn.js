// One turn, explained: how it ended, what the gate thought, every attempt, what was known, and where time went.

import { getTurn } from "./api.js";
import { avatar } from "./cast.js";
import { byId, el } from "./dom.js";
import { count, duration, score } from "./format.js";
import { dial, parts } from "./verdict.js";
import { waterfall } from "./waterfall.js";

const POLL_MS = 1000;
const NARROW = window.matchMedia("(max-width: 1099px)");

const OUTCOMES = {
  answered: "Answered",
  notice: "An honest way out",
  superseded: "Made way for something newer",
  cancelled: "Stopped",
  shed: "Turned away: too busy",
  expired: "Took too long",
};
const DEGRADED = {
  no_knowledge: "Without knowledge: the search was away",
  base_advice: "Without advice: tuning was away",
  cached_pack: "With a remembered character: the cast was away",
  no_cache: "Without the cache",
};
const TIERS = { standard: "Standard", enhanced: "Enhanced", aggressive: "All stops out" };

export class TurnPanel {
  constructor(cast) {
    this.cast = cast;
    this.panel = byId("turn");
    this.shade = byId("shade");
    this.turn = "";
    this.opener = null;
    this.timer = 0;
    this.shade.addEventListener("click", () => this.close());
    document.addEventListener("keydown", (event) => event.key === "Escape" && !byId("settings").open && this.close());
    NARROW.addEventListener("change", () => this.turn && this.hold());
  }

  /** Show a turn; `opener` gets the focus back at the end. */
  async open(turn, opener) {
    this.opener = opener;
    this.turn = turn;
    this.mark();
    this.panel.hidden = false;
    byId("layout").classList.add("explaining");
    this.hold();
    this.draw([el("p", { class: "quiet" }, "Reading the record…")]);
    this.panel.querySelector(".close").focus();
    await this.refresh();
  }

  close() {
    if (!this.turn) return;
    clearTimeout(this.timer);
    this.turn = "";
    this.mark();
    this.panel.hidden = true;
    this.shade.hidden = true;
    byId("layout").classList.remove("explaining");
    byId("room").inert = false;
    if (this.opener?.isConnected) this.opener.focus();
  }

  /** It ended just now: if it is the one shown, show how. */
  ended(turn) {
    if (turn === this.turn) this.refresh();
  }

  async refresh() {
    const { turn } = this;
    clearTimeout(this.timer);
    let found;
    try {
      found = await getTurn(turn);
    } catch (error) {
      if (turn === this.turn) this.draw([el("p", { class: "trouble" }, error.message)]);
      return;
    }
    if (turn !== this.turn) return;
    this.draw(explain(found), found.ended);
    if (!found.ended) this.timer = setTimeout(() => this.refresh(), POLL_MS);
  }

  /** On a phone the sheet covers the chat, so the chat can't be reached meanwhile. */
  hold() {
    this.shade.hidden = !NARROW.matches;
    byId("room").inert = NARROW.matches;
    this.panel.setAttribute("role", NARROW.matches ? "dialog" : "complementary");
  }

  mark() {
    for (const why of document.querySelectorAll(".why")) why.setAttribute("aria-expanded", String(why.dataset.turn === this.turn));
  }

  draw(content, ended = null) {
    const at = this.panel.scrollTop;
    const hadFocus = this.panel.contains(document.activeElement);
    const who = ended && this.cast.get(ended.character);
    this.panel.replaceChildren(
      el(
        "header",
        { class: "turn-head" },
        who ? avatar(who) : null,
        el("h2", { id: "turn-title" }, who ? `How ${who.name} got there` : "How it came about"),
        el("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => this.close() }, "✕"),
      ),
      ...content,
    );
    this.panel.style.setProperty("--who", who?.color ?? "#888888");
    this.panel.scrollTop = at;
    if (hadFocus) this.panel.querySelector(".close").focus();
  }
}

/** Everything below the title, top to bottom. */
function explain(found) {
  const ended = found.ended;
  const blocks = [ended ? summary(ended) : el("p", { class: "badges" }, el("span", { class: "badge running" }, "Still running…"))];
  if (ended?.text) blocks.push(el("blockquote", { class: "quote", dir: "auto" }, ended.text));
  if (ended?.reason) blocks.push(el("p", { class: "quiet" }, ended.reason));
  if (ended?.degraded?.length) blocks.push(el("ul", { class: "degraded-list" }, ended.degraded.map((one) => el("li", {}, DEGRADED[one] ?? one.replaceAll("_", " ")))));
  if (ended?.verdict) blocks.push(section("What the gate thought", el("div", { class: "verdict" }, dial(ended.verdict), parts(ended.verdict))));
  if (ended?.attempts?.length) blocks.push(section(count(ended.attempts.length, "attempt"), el("ol", { class: "attempts" }, ended.attempts.map(attempt))));
  if (ended?.passages?.length) blocks.push(section("What it could know", el("ol", { class: "passages" }, ended.passages.map(passage))));
  else if (ended?.outcome === "answered") blocks.push(section("What it could know", el("p", { class: "quiet" }, "Nothing in the knowledge base bears on this.")));
  if (found.steps?.length) blocks.push(section("Where the time went", waterfall(found)));
  blocks.push(el("p", { class: "turn-id" }, "Turn ", el("code", {}, found.turn)));
  return blocks;
}

function summary(ended) {
  const facts = [ended.model, ended.cached && "from the cache", ended.arm && ended.arm !== "base" && `variant ${ended.arm}`, duration(ended.ms ?? 0)];
  return el(
    "p",
    { class: "badges" },
    el("span", { class: `badge ${ended.outcome}` }, OUTCOMES[ended.outcome] ?? ended.outcome),
    facts.filter(Boolean).map((fact) => el("span", { class: "badge fact" }, fact)),
  );
}

function section(title, ...content) {
  return el("section", {}, el("h3", {}, title), ...content);
}

function attempt(one) {
  const verdict = one.accepted ? "passed" : "refused";
  return el(
    "li",
    { class: verdict },
    el(
      "p",
      { class: "attempt-head" },
      el("span", { class: "number" }, String(one.n)),
      el("span", { class: `badge ${verdict}` }, one.accepted ? "Passed" : "Refused"),
      el("span", { class: "quiet" }, TIERS[one.tier ?? "standard"] ?? one.tier),
      one.threshold ? el("span", { class: "figure" }, `${score(one.score ?? 0)} of ${score(one.threshold)}`) : null,
    ),
    one.text ? el("p", { class: "attempt-text", dir: "auto" }, one.text) : null,
    one.reason ? el("p", { class: "reason" }, one.reason) : null,
    one.changed?.length ? el("p", { class: "changed" }, `Changed: ${one.changed.join(", ")}`) : null,
  );
}

function passage(one) {
  const title = [one.title, one.section].filter(Boolean).join(" › ") || one.id;
  return el(
    "li",
    {},
    el(
      "details",
      {},
      el("summary", {}, el("span", { class: "passage-title" }, title), el("span", { class: "figure" }, `${Math.round((one.score ?? 0) * 100)}%`)),
      el("p", { class: "passage-text", dir: "auto" }, one.text),
    ),
    el("p", { class: "source" }, [one.source, one.licence].filter(Boolean).join(" · ")),
  );
}
