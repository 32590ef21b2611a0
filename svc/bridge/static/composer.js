// The box one writes in.

import { TEXT_CHARS_MAX } from "./api.js";
import { byId } from "./dom.js";

const WARN_CHARS = TEXT_CHARS_MAX - 400;

export class Composer {
  /** `onSay(text)` for every message that is neither empty nor too long. */
  constructor(onSay) {
    this.text = byId("text");
    this.count = byId("count");
    this.send = byId("send");
    this.onSay = onSay;
    this.text.addEventListener("input", () => this.measure());
    this.text.addEventListener("keydown", (event) => {
      // Enter also ends a word while composing Chinese, Japanese or Korean; that one is not ours.
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.submit();
      }
    });
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.measure();
  }

  for(names) {
    this.text.placeholder = names.length ? `Message ${names.join(" and ")}…` : "Message everyone…";
  }

  suggest(text) {
    this.text.value = text;
    this.measure();
    this.text.focus();
  }

  submit() {
    const text = this.text.value.trim();
    if (!text || length(text) > TEXT_CHARS_MAX) return;
    this.text.value = "";
    this.measure();
    this.text.focus();
    this.onSay(text);
  }

  measure() {
    const long = length(this.text.value.trim());
    this.count.textContent = long > TEXT_CHARS_MAX ? `${(long - TEXT_CHARS_MAX).toLocaleString()} too many` : long > WARN_CHARS ? `${(TEXT_CHARS_MAX - long).toLocaleString()} left` : "";
    this.count.classList.toggle("over", long > TEXT_CHARS_MAX);
    this.send.disabled = long === 0 || long > TEXT_CHARS_MAX;
    this.text.style.height = "auto";
    this.text.style.height = `${this.text.scrollHeight}px`;
  }
}

/** Characters as the server counts them: code points. */
function length(text) {
  return [...text].length;
}
