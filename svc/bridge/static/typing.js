// Who is about to answer, with the draft as it is made. A draft is not an answer: the gate may still refuse it.

import { avatar } from "./cast.js";
import { byId, el } from "./dom.js";

const FORGOTTEN_MS = 150000;
const SHOWN_CHARS = 600;

export class Typing {
  /** `onChange()` after the list grew or shrank. */
  constructor(cast, onChange) {
    this.cast = cast;
    this.onChange = onChange;
    this.list = byId("typing");
    this.turns = new Map();
  }

  clear() {
    for (const turn of [...this.turns.keys()]) this.end(turn);
  }

  running() {
    return [...this.turns.keys()];
  }

  start(turn, character) {
    if (this.turns.has(turn)) return;
    const who = this.cast.get(character);
    const draft = el("p", { class: "draft" });
    const row = el(
      "li",
      { class: "row reply", "--who": who.color },
      avatar(who),
      el("div", { class: "said" }, el("p", { class: "who" }, who.name), el("div", { class: "bubble" }, draft, el("span", { class: "dots" }, el("i"), el("i"), el("i")))),
    );
    const timer = setTimeout(() => this.end(turn), FORGOTTEN_MS);
    this.turns.set(turn, { row, draft, timer, name: who.name, n: "", index: 0 });
    this.list.append(row);
    this.announce();
  }

  token({ turn, character, n, index = 0, text }) {
    this.start(turn, character);
    const state = this.turns.get(turn);
    if (n !== state.n) {
      state.n = n;
      state.index = index;
      state.draft.textContent = "";
    }
    // Of several drafts made side by side only the first that spoke is shown.
    if (index !== state.index) return;
    state.draft.textContent = (state.draft.textContent + text).slice(-SHOWN_CHARS);
    this.onChange();
  }

  end(turn) {
    const state = this.turns.get(turn);
    if (!state) return;
    clearTimeout(state.timer);
    state.row.remove();
    this.turns.delete(turn);
    this.announce();
  }

  announce() {
    const names = [...new Set([...this.turns.values()].map((one) => one.name))];
    byId("typing-status").textContent = names.length ? `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} writing` : "";
    this.onChange();
  }
}
