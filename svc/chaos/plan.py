"""The plan of a run: who says what to whom, and when what is struck. Pure: the same seed gives the same plan.

Strikes are tied to messages, not to the clock: each comes a moment after a certain message was offered, so a
run on a slow machine meets the same trouble in the same order, and the last strike still falls on turns that
are being offered.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from typing import Literal

How = Literal["kill", "hang", "cut"]
BROKER = "nats"
"""The part that is cut, and whose return is timed."""
TURNS_PER_CHANNEL = 24
"""Few enough for a channel's history to be read in one piece (100 lines), so that a gap can be closed."""
CHANNELS_MIN, CHANNELS_MAX = 4, 48
"""Several conversations even in the shortest run; the bridge serves 64 pages."""
PAUSE_S_MAX = 0.6
"""Between a message and the strike that belongs to it: as long as a turn takes, so any step may be hit."""
_TOPICS = """
arcade asparagus astronaut attic avocado badger bagpipes ballet barber beard beaver bedroom beehive bicycle
biscuit blanket bonfire bowling bracelet brownies bulldozer burglar cabbage camping candle canoe caravan
carpet casserole cauliflower ceiling celery cello chainsaw cherry chess chimney chocolate circus clarinet
comet compass cottage cowboy cricket crocodile croissant cucumber daffodil dentist desert diamond dinosaur
dolphin donkey dragon drummer dumpling eagle earthquake eclipse elephant engine escalator factory falcon ferry
fireplace fireworks flamingo flute fondue forest furniture galaxy garden garlic geyser ginger giraffe glacier
gorilla granite grapes gravy guacamole guitar hammock hamster harmonica harpoon hedgehog helicopter hiccups
highway horse igloo iguana island jacket jellyfish jukebox kangaroo karate kettle kimono kitchen koala ladder
lantern lasagna lighthouse lizard llama lobster lollipop magician magnet mailbox mango maple marble mattress
meteor mirror monkey mosquito moustache museum mushroom nachos necklace neighbour noodles oatmeal ocean olives
omelette onion orchid ostrich oyster paddle panda parachute parrot peacock penguin pepper perfume piano pickle
picnic pigeon pineapple pirate planet plumber polka porridge potato puddle pumpkin pyramid rabbit radish
rainbow raincoat rocket rollercoaster saxophone scarecrow scissors shovel sneakers snowman spider spinach
squirrel staircase stapler strawberry submarine suitcase sunflower sweater telescope theatre thunder toaster
tomato tornado tractor trampoline treasure trombone turkey turtle umbrella uniform vacuum vampire violin
volcano waffle walrus wardrobe wedding whistle windmill window wizard zebra zucchini
"""
TOPICS = _TOPICS.split()
"""What is talked about, each again only after all others: about these the lines of the instant model pass the
gate. Others cost attempts with growing pauses, and a run ends minutes after its last trouble."""


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """Something one person says, once. Each of `to` owes it one answer."""

    number: int
    native: str
    channel: str
    text: str
    to: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Strike:
    """What is done to a part, `pause_s` after the message `after` was first offered."""

    after: int
    pause_s: float
    part: str
    how: How


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    messages: tuple[Message, ...]
    """`turns` in all: one for every character a message is for."""
    strikes: tuple[Strike, ...]
    """In their order."""

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(message.channel for message in self.messages))


def make(
    seed: int,
    *,
    turns: int,
    strikes: int,
    how: How,
    cut: bool,
    parts: Sequence[str],
    cast: Sequence[str],
) -> Plan:
    """The plan of `seed`. With `cut` one power cut comes on top, in the middle of the run.

    Everything there is gets struck once before anything is struck twice, and twice before a third time: what
    is struck again and again spends its time in the supervisor's growing pauses, not under load.
    """
    messages = tuple(_messages(random.Random(f"{seed}:turns"), seed, turns, sorted(cast)))
    dice = random.Random(f"{seed}:strikes")
    chosen = [
        Strike(after, _pause(dice), part, how) for after, part in _struck(dice, strikes, parts, messages)
    ]
    if cut:
        chosen.append(Strike(len(messages) // 2, _pause(dice), BROKER, "cut"))
    return Plan(messages, tuple(sorted(chosen, key=lambda strike: strike.after)))


def _messages(dice: random.Random, seed: int, turns: int, cast: Sequence[str]) -> Iterator[Message]:
    channels = min(max(CHANNELS_MIN, -(-turns // TURNS_PER_CHANNEL)), CHANNELS_MAX)
    topics: list[str] = []
    number = 0
    while turns > 0:
        # Half of what is said is for everybody at once: those turns meet in one channel.
        count = min(turns, len(cast) if dice.random() < 0.5 else dice.randint(1, len(cast)))
        topics = topics or dice.sample(TOPICS, len(TOPICS))
        yield Message(
            number=number,
            native=f"chaos-{seed}-{number}",
            channel=f"chaos-{dice.randrange(channels)}",
            text=f"Tell me about {topics.pop()}, please. ({number})",
            to=tuple(dice.sample(list(cast), count)),
        )
        turns -= count
        number += 1


def _struck(
    dice: random.Random, strikes: int, parts: Sequence[str], messages: Sequence[Message]
) -> Iterator[tuple[int, str]]:
    """(message, part) of every strike, spread evenly over the messages."""
    rounds = -(-strikes // len(parts))
    order = [part for _ in range(rounds) for part in dice.sample(sorted(parts), len(parts))]
    step = len(messages) / (strikes + 1)
    for number, part in enumerate(order[:strikes]):
        yield min(int((number + 0.5 + dice.random()) * step), len(messages) - 1), part


def _pause(dice: random.Random) -> float:
    return round(dice.uniform(0.0, PAUSE_S_MAX), 3)
