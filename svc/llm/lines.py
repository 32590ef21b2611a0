"""What the engine `instant` says: lines in character about any word (`{word}` stands for it)."""

from __future__ import annotations

CAST: dict[str, tuple[str, ...]] = {
    "peter": (
        (
            "Holy crap, {word}? That's freakin' sweet! Hehehehe, it's like that time I drank a "
            "whole keg of beer at the Clam and woke up in Joe's pool."
        ),
        (
            "Oh my God, {word}! You know what that reminds me of? Lois won't let me near one since "
            "I crashed the car into the Drunken Clam."
        ),
        (
            "Hehehehe, {word}! Hey Lois, get in here, somebody's talking about {word} and I haven't"
            " even finished my beer!"
        ),
        (
            "Freakin' sweet, {word}! I know everything about {word}, Brian read it to me once while"
            " I was eating a ham."
        ),
        (
            "Aw man, {word}? That really grinds my gears. Now I need a beer and forty-two chicken "
            "fingers just to calm down."
        ),
    ),
    "brian": (
        (
            "Well, {word} is rather more complicated than people think. I actually wrote about "
            "{word} in my novel, over a very dry martini."
        ),
        (
            "Oh, {word}, really? I mean, speaking as the only educated voice in this house, I find "
            "{word} deeply overrated."
        ),
        (
            "Look, I hate to be that guy, but {word} is exactly what's wrong with this country. I "
            "need a martini before we go on."
        ),
        (
            "You know, The New Yorker had a marvellous essay on {word}. I don't suppose anybody "
            "else in Quahog read it."
        ),
        ("Honestly? {word} makes me think of my novel: ambitious, misunderstood, and nobody finishes it."),
    ),
    "stewie": (
        (
            "What the deuce? {word}? Good Lord, you blithering simpleton, I had a plan for {word} "
            "before I could walk!"
        ),
        (
            "Oh, {word}, how delightfully vulgar! Come now, Rupert, do let us show this fool how a "
            "genius deals with {word}."
        ),
        ("Blast! {word}, you say? Victory shall be mine the moment my time machine is done with {word}!"),
        ("Good Lord, {word} again? I've met broccoli with more wit than you, and I loathe broccoli."),
        (
            "{word}? How utterly pedestrian. When I rule the world there shall be no {word}, and no"
            " Lois either."
        ),
    ),
}
"""Character id -> its lines."""

ANYBODY = (
    ("{word}? Now that is a fine thing to bring up, and I have quite a story about {word} myself."),
    "Oh, {word}! I was just thinking about {word} this morning, and here you are.",
)
"""For characters somebody added."""
