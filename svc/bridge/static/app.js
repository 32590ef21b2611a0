// The console: everything is made and wired here.

import * as api from "./api.js";
import { Cast, avatar } from "./cast.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { byId, el } from "./dom.js";
import { watch } from "./events.js";
import * as me from "./me.js";
import { TurnPanel } from "./turn.js";
import { Typing } from "./typing.js";

const UNHEARD_MS = 10000;
const CAST_AGAIN_MS = 4000;
const AWAY_AFTER_MS = 1200;
const STARTERS = ["What did everybody do today?", "Settle this: is a hot dog a sandwich?", "Tell me something I don't know."];

let who = me.load();
let stop = () => {};
let awayTimer = 0;
const unsent = new Map();
const unheard = new Map();

const cast = new Cast((names) => composer.for(names));
const panel = new TurnPanel(cast);
const chat = new Chat(cast, { onTurn: (turn, button) => panel.open(turn, button), onRetry: send });
const typing = new Typing(cast, () => chat.isNear() && chat.toEnd());
const composer = new Composer(sayNew);

const on = {
  ready: ({ resumed }) => (resumed ? welcome() : catchUp()),
  heard: (heard) => chat.heard(heard, who.name || "You"),
  posted: (posted) => {
    typing.end(posted.turn);
    chat.posted(posted);
  },
  ended: (ended) => {
    answered(ended.message);
    typing.end(ended.turn);
    chat.end(ended);
    panel.ended(ended.turn);
  },
  decision: (decision) => {
    answered(decision.message);
    (decision.turns ?? []).forEach((turn, k) => chat.ended.has(turn) || typing.start(turn, decision.speakers[k]));
    if (!decision.speakers?.length) chat.silence(decision);
  },
  token: (token) => chat.ended.has(token.turn) || typing.token(token),
};

/** Enter a channel afresh. */
function enter() {
  stop();
  panel.close();
  chat.clear();
  unsent.clear();
  typing.clear();
  chat.ownName = who.name || "You";
  composer.for(cast.to().map((id) => cast.get(id).name));
  stop = watch(who.channel, on, connection);
}

/** There may be a gap: read the history, and ask after turns that seemed to run. */
async function catchUp() {
  const { channel } = who;
  try {
    const history = await api.getHistory(channel);
    if (channel !== who.channel) return;
    chat.past(history.utterances ?? []);
    trouble("");
  } catch (error) {
    trouble(`What was said before can't be shown. ${error.message}`);
  }
  for (const turn of typing.running()) {
    const found = await api.getTurn(turn).catch(() => null);
    if (found?.ended) on.ended(found.ended);
  }
  welcome();
}

function sayNew(text) {
  const native = id();
  unsent.set(native, { native, text, to: cast.to(), channel: who.channel, name: who.name });
  chat.sending({ native, name: who.name || "You", text });
  send(native);
}

async function send(native) {
  try {
    const taken = await api.say(unsent.get(native));
    unsent.delete(native);
    chat.sent(native, taken.message);
    trouble("");
    const timer = setTimeout(() => trouble("Nobody has picked this up yet. GET /services/health says what is missing."), UNHEARD_MS);
    unheard.set(taken.message, timer);
  } catch (error) {
    chat.failed(native);
    trouble(error.message);
  }
}

function answered(message) {
  clearTimeout(unheard.get(message));
  unheard.delete(message);
}

function connection(state) {
  clearTimeout(awayTimer);
  // A blink is not worth a word: most reconnects take less than a second.
  if (state === "open") show("open", "Live");
  else awayTimer = setTimeout(() => show("away", "Reconnecting…"), AWAY_AFTER_MS);
}

function show(state, words) {
  byId("state").dataset.state = state;
  byId("state-text").textContent = words;
}

function trouble(words) {
  byId("trouble").textContent = words;
  byId("trouble").hidden = !words;
}

function welcome() {
  byId("welcome").hidden = !chat.isEmpty();
}

async function loadCast() {
  try {
    cast.set(await api.getCast());
    byId("faces").replaceChildren(...cast.all().map(avatar));
  } catch (error) {
    trouble(`The cast can't be shown. ${error.message}`);
    setTimeout(loadCast, CAST_AGAIN_MS);
  }
}

/** A fresh id. `crypto.randomUUID` exists only on localhost and https. */
function id() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

byId("starters").replaceChildren(
  ...STARTERS.map((text) => el("button", { type: "button", class: "starter", onclick: () => composer.suggest(text) }, text)),
);
me.connect(who, (changed) => {
  who = changed;
  enter();
});
await loadCast();
enter();
