// The conversation: one row per message, in order of time, each message once whatever brings it.

import { avatar } from "./cast.js";
import { byId, el } from "./dom.js";
import { clock, count, day, duration, score } from "./format.js";

const GROUP_S = 300;
const NEAR_PX = 120;

const SILENT = {
  superseded: "made way for something newer",
  cancelled: "was stopped",
  shed: "had no time: too much is going on",
  expired: "took too long and let it go",
};

export class Chat {
  /** `onTurn(turn, button)` when somebody wants to know about a reply, `onRetry(native)` to send one again. */
  constructor(cast, { onTurn, onRetry }) {
    this.cast = cast;
    this.onTurn = onTurn;
    this.onRetry = onRetry;
    this.log = byId("log");
    this.scroll = byId("scroll");
    this.newest = byId("newest");
    this.rows = new Map();
    this.mine = new Map();
    this.ended = new Map();
    this.newest.addEventListener("click", () => this.toEnd());
    this.scroll.addEventListener("scroll", () => this.isNear() && (this.newest.hidden = true), { passive: true });
  }

  clear() {
    this.log.replaceChildren();
    this.rows.clear();
    this.mine.clear();
    this.ended.clear();
    this.newest.hidden = true;
  }

  isEmpty() {
    return this.rows.size === 0 && this.mine.size === 0;
  }

  /** Lines of the past: shown without being read aloud one by one. */
  past(utterances) {
    this.log.setAttribute("aria-live", "off");
    for (const one of utterances) {
      if (one.character) {
        this.reply({ id: one.id, turn: one.id.replace(/-[^-]*$/, ""), character: one.character, text: one.text, at: one.at, notice: one.notice });
      } else {
        this.person({ id: one.id, name: one.author.name, text: one.text, at: one.at });
      }
    }
    this.toEnd();
    requestAnimationFrame(() => this.log.setAttribute("aria-live", "polite"));
  }

  /** A message of ours on its way; it becomes an ordinary one when it is heard. */
  sending({ native, name, text }) {
    const row = this.personRow({ name, text, at: Date.now() / 1000, own: true });
    row.classList.add("sending");
    this.mine.set(native, row);
    this.place(row);
    this.toEnd();
  }

  sent(native, message) {
    const row = this.mine.get(native);
    if (!row) return;
    row.classList.remove("sending", "failed");
    row.querySelector(".retry")?.remove();
    if (!this.rows.has(message)) this.rows.set(message, row);
    else if (this.rows.get(message) !== row) row.remove();
    this.mine.delete(native);
  }

  failed(native) {
    const row = this.mine.get(native);
    if (!row) return;
    row.classList.remove("sending");
    row.classList.add("failed");
    row.querySelector(".meta").append(
      el("button", { type: "button", class: "retry", onclick: (event) => this.again(native, event.currentTarget) }, "Not sent. Try again"),
    );
  }

  again(native, button) {
    button.remove();
    this.mine.get(native).classList.replace("failed", "sending");
    this.onRetry(native);
  }

  heard(heard, ownName) {
    if (this.mine.has(heard.native)) this.sent(heard.native, heard.message);
    else this.person({ id: heard.message, name: heard.author.name, text: heard.text, at: heard.at, own: heard.author.name === ownName });
  }

  person({ id, name, text, at, own = name === this.ownName }) {
    if (this.rows.has(id)) return;
    const row = this.personRow({ name, text, at, own });
    this.rows.set(id, row);
    this.place(row);
  }

  posted(posted) {
    const { turn, piece, character, text, at, notice } = posted;
    this.reply({ id: `${turn}-${piece}`, turn, character, text, at, notice });
  }

  reply({ id, turn, character, text, at, notice }) {
    if (this.rows.has(id)) return;
    const who = this.cast.get(character);
    const why = el("button", { type: "button", class: "why", "data-turn": turn, onclick: () => this.onTurn(turn, why) });
    const bubble = el("div", { class: "bubble", dir: "auto" }, text);
    const row = el(
      "li",
      { class: notice ? "row reply notice" : "row reply", "--who": who.color, "data-at": at, "data-key": character },
      avatar(who),
      el("div", { class: "said" }, el("p", { class: "who" }, who.name), bubble, el("p", { class: "meta" }, why, stamp(at))),
    );
    bubble.addEventListener("click", () => window.getSelection().isCollapsed && this.onTurn(turn, why));
    this.rows.set(id, row);
    this.place(row);
    this.label(turn);
  }

  /** How a turn ended: its reply gets its figures; a silence gets a line of its own. */
  end(ended) {
    this.ended.set(ended.turn, ended);
    this.label(ended.turn);
    if (ended.outcome in SILENT) {
      const who = this.cast.get(ended.character);
      const why = el("button", { type: "button", class: "link", onclick: () => this.onTurn(ended.turn, why) }, "why?");
      this.line(`end-${ended.turn}`, ended.at, [`${who.emoji} ${who.name} ${SILENT[ended.outcome]}. `, why]);
    }
  }

  /** Nobody answers, and why. */
  silence(decision) {
    const reasons = Object.entries(decision.reasons ?? {});
    const list = el("ul", {}, reasons.map(([id, reason]) => el("li", {}, `${this.cast.get(id).name}: ${reason}`)));
    const content = reasons.length ? el("details", {}, el("summary", {}, "Nobody answers this one"), list) : "Nobody answers this one.";
    this.line(`silence-${decision.message}`, Date.now() / 1000, [content]);
  }

  line(id, at, content) {
    if (this.rows.has(id)) return;
    const row = el("li", { class: "row line", "data-at": at, "data-key": "" }, el("div", {}, content));
    this.rows.set(id, row);
    this.place(row);
  }

  label(turn) {
    const ended = this.ended.get(turn);
    for (const why of this.log.querySelectorAll(`.why[data-turn="${CSS.escape(turn)}"]`)) {
      const tries = ended?.attempts?.length ?? 0;
      const parts = ended ? [ended.verdict && score(ended.verdict.score), tries > 1 && count(tries, "try", "tries"), duration(ended.ms ?? 0)] : [];
      why.textContent = parts.filter(Boolean).join(" · ") || "How come?";
      why.setAttribute("aria-label", `How this reply came about${ended?.verdict ? `: score ${score(ended.verdict.score)}` : ""}`);
      why.classList.toggle("degraded", Boolean(ended?.degraded?.length));
    }
  }

  personRow({ name, text, at, own }) {
    return el(
      "li",
      { class: own ? "row own" : "row person", "data-at": at, "data-key": `person ${own ? "" : name}` },
      own ? null : el("span", { class: "avatar", "aria-hidden": "true" }, (name || "?").slice(0, 1).toUpperCase()),
      el(
        "div",
        { class: "said" },
        el("p", { class: own ? "who sr" : "who" }, name || "You"),
        el("div", { class: "bubble", dir: "auto" }, text),
        el("p", { class: "meta" }, stamp(at)),
      ),
    );
  }

  /** Insert by time; what comes now nearly always goes last. */
  place(row) {
    const near = this.isNear();
    const at = Number(row.dataset.at);
    let next = null;
    for (let last = this.log.lastElementChild; last && Number(last.dataset.at) > at; last = last.previousElementSibling) next = last;
    this.log.insertBefore(row, next);
    arrange(row);
    if (next) arrange(next);
    byId("welcome").hidden = true;
    if (near) this.toEnd();
    else if (!row.classList.contains("line")) this.newest.hidden = false;
  }

  isNear() {
    return this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < NEAR_PX;
  }

  toEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
    this.newest.hidden = true;
  }
}

/** Whether a row starts a new day, or goes on what the same one said just before. */
function arrange(row) {
  const previous = row.previousElementSibling;
  const at = Number(row.dataset.at);
  const isNewDay = !previous || day(Number(previous.dataset.at)) !== day(at);
  row.querySelector(".day")?.remove();
  if (isNewDay) row.prepend(el("p", { class: "day" }, day(at)));
  row.classList.toggle("opens-day", isNewDay);
  const goesOn = !isNewDay && row.dataset.key !== "" && previous.dataset.key === row.dataset.key && at - Number(previous.dataset.at) < GROUP_S;
  row.classList.toggle("goes-on", goesOn);
}

function stamp(at) {
  return el("time", { datetime: new Date(at * 1000).toISOString() }, clock(at));
}
