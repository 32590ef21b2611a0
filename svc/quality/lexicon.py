"""Closed word classes of English and the commonest words of its neighbours: data, no logic.

The classes feed the word-order model (`grammar`), their union is what counts as English function words,
and the lists of other languages let `language` tell which one a reply is written in.
"""

from __future__ import annotations


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


CLASSES: dict[str, frozenset[str]] = {
    name: _words(listed)
    for name, listed in {
        "article": "a an the",
        "demonstrative": "this that these those",
        "possessive": "my your his her its our their whose",
        "quantity": "all both each every some any no many much more most few less enough several another "
        "other",
        "subject": "i he she we they",
        "either": "you it who one something someone everything everyone nothing nobody anything anyone",
        "object": "me him us them myself yourself himself herself itself ourselves themselves",
        "be": "am is are was were be been being 'm 's 're ain't",
        "do": "do does did done",
        "have": "have has had 've having",
        "modal": "can could will would shall should may might must 'll 'd gonna gotta wanna let's let",
        "not": "not n't never",
        "to": "to",
        "of": "of",
        "preposition": "in on at for with from by about into over under after before between through during "
        "without against off around near since until toward towards upon behind beyond inside out up down",
        "as": "as like than",
        "and": "and or nor &",
        "clause": "but so because if while though although unless whether cause cuz until once",
        "wh": "what why how where which when whatever whenever",
        "adverb": "just really very too even still now then here there always ever maybe perhaps quite only "
        "again also already almost rather pretty away back far soon often sometimes probably actually",
        "interjection": "oh hey yeah yes yep yup no nope okay ok wow ah ugh hm hmm huh eh well wait please "
        "sorry thanks hello hi god gosh man boy sure crap damn heh hehe hehehe",
        "verb": "get got go goes went gone know knew think thought want wants need needs make makes made see "
        "saw say says said tell told take took come came give gave look feel felt mean find found keep kept "
        "put call try ask work seem leave left love hate drink drank eat ate live play run bring buy hold "
        "write read sit stand stop talk watch remember believe understand die kill use show hear help start",
    }.items()
}

ENGLISH: frozenset[str] = frozenset().union(
    *(CLASSES[name] for name in CLASSES if name not in ("verb", "interjection")),
    _words(
        "i'm i've i'll i'd you're you've you'll he's she's it's that's there's what's who's let's "
        "don't doesn't didn't can't couldn't won't wouldn't shouldn't isn't aren't wasn't weren't haven't "
        "hasn't hadn't we're they're we've they've we'll they'll yeah yes oh"
    ),
)
"""Function words: they hold a sentence together and say nothing about its topic."""

FOREIGN: dict[str, frozenset[str]] = {
    "de": _words(
        "der die das und ist nicht ich du wir ihr sie ein eine einen mit auf für von zu dem den des im auch "
        "aber "
        "wie was wenn dass mein dein sein hat haben bin sind war noch nur oder aus bei nach über mir mich "
        "dir "
        "dich gern sehr kann trinke bier"
    ),
    "fr": _words(
        "le la les un une des et est ne pas je tu il elle nous vous ils que qui dans pour avec sur mais ou "
        "où mon "
        "ma mes ton sa ses ce cette au aux du de suis es sont ai bien plus très tout comme c'est j'ai j'aime "
        "qu'il n'est l'on"
    ),
    "es": _words(
        "el la los las un una unos y es no yo tú él ella nosotros que quien en para con sobre pero o mi mis "
        "tu tus "
        "su sus este esta al del de soy eres son muy más todo como por qué se lo me te le gusta "
        "cerveza"
    ),
    "it": _words(
        "il lo la gli le un uno una e è non io tu lui lei noi voi che chi in per con su ma o mio mia tuo suo "
        "questo questa al del della di sono sei molto più tutto come perché si mi ti anche"
    ),
    "pt": _words(
        "o a os as um uma e é não eu tu ele ela nós você que quem em para com sobre mas ou meu minha seu "
        "sua este "
        "esta ao do da de sou são muito mais tudo como por se me te também uma"
    ),
    "nl": _words(
        "de het een en is niet ik jij je hij zij wij dat die dit in op voor met van te maar of mijn jouw "
        "zijn "
        "haar ook als wat waarom heel meer alles hoe er naar bij ben bent heeft hebben"
    ),
}
"""Language code -> its commonest words. Words that are also English count for neither side."""
