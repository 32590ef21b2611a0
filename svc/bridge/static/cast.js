// The cast: who they are, how they look, and whom the next message is for.

import { byId, el } from "./dom.js";

const SOMEBODY = { id: "", name: "Somebody", emoji: "💬", color: "#888888", summary: "" };
const COLOR = /^#[0-9a-f]{3,8}$/i;

export class Cast {
  /** `onPick(names)` whenever the choice changes; no names = everyone. */
  constructor(onPick) {
    this.onPick = onPick;
    this.members = new Map();
    this.picked = new Set();
  }

  get(id) {
    return this.members.get(id) ?? { ...SOMEBODY, id, name: id || SOMEBODY.name };
  }

  all() {
    return [...this.members.values()];
  }

  /** Ids the next message is addressed to; none = everyone. */
  to() {
    return [...this.picked];
  }

  set(members) {
    this.members = new Map(members.map((one) => [one.id, { ...one, color: COLOR.test(one.color) ? one.color : "#888888" }]));
    this.picked = new Set([...this.picked].filter((id) => this.members.has(id)));
    byId("cast").replaceChildren(
      this.card("", "Everyone", el("span", { class: "avatar everyone", "aria-hidden": "true" }, "👋"), "Whoever has something to say"),
      ...this.all().map((one) => this.card(one.id, one.name, avatar(one), role(one.summary), one.color)),
    );
    this.show();
  }

  card(id, name, face, about, color) {
    return el(
      "button",
      { type: "button", class: "member", "data-id": id, "--who": color ?? null, title: about, onclick: () => this.toggle(id) },
      face,
      el("span", { class: "member-name" }, name),
      el("span", { class: "member-about" }, about),
    );
  }

  toggle(id) {
    if (id === "") this.picked.clear();
    else if (!this.picked.delete(id)) this.picked.add(id);
    this.show();
  }

  show() {
    for (const card of byId("cast").children) {
      const { id } = card.dataset;
      card.setAttribute("aria-pressed", String(id ? this.picked.has(id) : this.picked.size === 0));
    }
    this.onPick([...this.picked].map((id) => this.get(id).name));
  }
}

/** The round face of a character. */
export function avatar(member) {
  return el("span", { class: "avatar", "aria-hidden": "true", "--who": member.color }, member.emoji || member.name.slice(0, 1).toUpperCase());
}

/** "You are a dog. You drink." is how a pack speaks to the model; people read "A dog." */
function role(summary) {
  const first = summary.split(/(?<=[.!?])\s/)[0].replace(/^You(?:'re|’re| are) /, "");
  return first.slice(0, 1).toUpperCase() + first.slice(1);
}
