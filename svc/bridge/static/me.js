// Who sits here and in which channel: kept in this browser, changed in a small dialog.

import { byId, el } from "./dom.js";

const KEY = "quahog.me";
const CHANNEL = "main";

/** `{name, channel}` as last saved. A browser that keeps nothing gets the defaults. */
export function load() {
  try {
    const { name = "", channel = CHANNEL } = JSON.parse(localStorage.getItem(KEY)) ?? {};
    return { name, channel };
  } catch {
    return { name: "", channel: CHANNEL };
  }
}

/** Show who that is in the header; `onChange({name, channel})` when the dialog was saved. */
export function connect(me, onChange) {
  const button = byId("me");
  const dialog = byId("settings");
  const name = byId("name");
  const channel = byId("channel");

  function show() {
    button.replaceChildren(
      el("span", { class: "me-name" }, me.name || "You"),
      el("span", { class: "me-channel" }, `#${me.channel}`),
    );
    button.setAttribute("aria-label", `You are ${me.name || "You"} in channel ${me.channel}. Change`);
  }

  button.addEventListener("click", () => {
    name.value = me.name;
    channel.value = me.channel;
    dialog.returnValue = "";
    dialog.showModal();
    name.select();
  });
  dialog.querySelector("form").addEventListener("keydown", (event) => {
    // Enter means save, though "Cancel" is the form's first button.
    if (event.key === "Enter" && event.target instanceof HTMLInputElement) {
      event.preventDefault();
      dialog.querySelector("[value=save]").click();
    }
  });
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "save") return;
    me = { name: name.value.trim(), channel: channel.value.trim() || CHANNEL };
    try {
      localStorage.setItem(KEY, JSON.stringify(me));
    } catch {
      // A private window may refuse; then it lasts as long as the page.
    }
    show();
    onChange(me);
  });
  show();
}
