"""Reading packs: strict about what people write, and exact about where it is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from svc import config, errors
from svc.bus import subjects
from svc.characters import pack
from svc.wire import characters
from tests.unit.characters import packs

SHIPPED = config.shipped("characters")


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def mistake(folder: Path, text: str, name: str = "nell") -> str:
    packs.write(folder / "characters", text, name)
    with pytest.raises(errors.ConfigError) as caught:
        pack.load(folder / "characters")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_shipped_cast_loads() -> None:
    cast = pack.load(SHIPPED)
    assert list(cast) == ["brian", "peter", "stewie"]
    for key, each in cast.items():
        assert each.id == key
        assert subjects.TOKEN.fullmatch(each.version)
        assert set(each.relationships) == set(cast) - {key}


@pytest.mark.parametrize("key", ["brian", "peter", "stewie"])
def test_a_shipped_pack_has_what_a_good_one_needs(key: str) -> None:
    each = pack.load(SHIPPED)[key]
    plain = [line for line in each.lines if not any(marker in line.lower() for marker in each.markers)]
    assert len(each.lines) >= 60
    assert len(plain) * 2 >= len(each.lines), "most lines must be recognizable without a catchphrase"
    assert not set(each.lines) & {example.reply for example in each.examples}
    assert 14 <= len(each.examples) <= 20
    assert all(len(re.findall(r"[.!?](?:\s|$)", example.reply)) <= 3 for example in each.examples)
    assert 15 <= len(each.markers) <= 30
    assert 12 <= len(each.openers) <= 20
    assert all(len(opener.split()) <= 5 for opener in each.openers)
    assert 12 <= len(each.canon) <= 20
    assert len(each.fallbacks.failed) >= 4
    assert len(each.fallbacks.busy) >= 3
    assert len(each.fallbacks.unknown) >= 3


def test_no_line_is_shared_by_two_characters() -> None:
    said = [line for each in pack.load(SHIPPED).values() for line in each.lines]
    assert len(said) == len(set(said))


def test_a_fourth_character_needs_only_its_file(tmp_path: Path) -> None:
    for file in SHIPPED.glob("*.toml"):
        packs.write(tmp_path / "characters", file.read_text("utf-8"), file.stem)
    packs.write(tmp_path / "characters", packs.minimal())
    cast = pack.load(tmp_path / "characters")
    assert list(cast) == ["brian", "nell", "peter", "stewie"]
    assert cast["nell"].name == "Nell Harbor"


def test_the_page_explains_every_field() -> None:
    page = packs.PAGE.read_text("utf-8")
    assert [field for field in characters.Pack.__struct_fields__ if f"`{field}`" not in page] == []


def test_the_version_follows_the_content(tmp_path: Path) -> None:
    text = packs.minimal()
    first = pack.read(packs.write(tmp_path / "a", text)).version
    again = pack.read(packs.write(tmp_path / "b", "# only a comment\n" + text)).version
    other = pack.read(packs.write(tmp_path / "c", text.replace("Fog's in.", "Fog's out."))).version
    assert first == again != other


def test_wrapped_text_becomes_one_line(tmp_path: Path) -> None:
    text = packs.minimal().replace("You are the harbor master", "You are\\n  the harbor master")
    read = pack.read(packs.write(tmp_path, text))
    assert read.summary.startswith("You are the harbor master of Quahog")


@pytest.mark.parametrize(
    ("old", "new", "at", "says"),
    [
        ("voice = [", "voise = [", "voise", "unknown field 'voise': did you mean 'voice'?"),
        ('name = "', 'zzz = 1\nname = "', "zzz", "unknown field 'zzz': known are id, name"),
        ('user = "Any', 'ask = "Any', "ask =", "unknown field 'ask': known are user, reply"),
        ("busy = [", "bussy = [", "bussy", "unknown field 'bussy': did you mean 'busy'?"),
        ("[fallbacks]", "[sampling]\ntemprature = 1\n[fallbacks]", "tempr", "did you mean 'temperature'?"),
        ('name = "', 'version = "1"\nname = "', "version", "remove this line"),
        ('name = "', 'talkativeness = "a"\nname = "', "talk", "talkativeness: expected `float`, got `str`"),
        ('"Tide table', '7, "Tide table', "7, ", "lines[3]: expected `str`, got `int`"),
        (
            "[fallbacks]",
            "[topics]\nok = 1\nfog = 1.5\n[fallbacks]",
            "fog = 1.5",
            "topics.fog: expected `float`",
        ),
        ('reply = "Never', 'reply = 1 # "', "reply = 1", "examples[3].reply: expected `str`, got `int`"),
        ('reply = "Never argue with a gull before breakfast."', "", '[[examples]]\nuser = "Any', "`reply`"),
        ('"short, salty sentences"', '"salty", "salty"', '"salty"', "voice[1] is there twice"),
        ('"short, salty sentences"', '" "', '" "', "voice[0] has 0 characters: it needs 1 to 300"),
        ('"short, salty sentences"', '"\\u0007"', "\\u0007", "voice[0] has a control character"),
        ('"calm"', '"' + "c" * 301 + '"', "ccc", "personality[0] has 301 characters"),
        ('name = "Nell Harbor"', f'name = "{"N" * 33}"', "name", "name has 33 characters: it needs 1 to 32"),
        ('failed = ["Ran aground on that one. Ask me again."]', "failed = []", "failed", "it needs 1 to 20"),
        ('name = "', 'color = "red"\nname = "', "color", "write it as #rrggbb"),
        ('name = "', 'markers = ["Fog"]\nname = "', "markers", "write 'fog'"),
        ("[fallbacks]", '[relationships]\n"a b" = "x"\n[fallbacks]', '"a b"', "'a b' can't be an id"),
        ('id = "nell"', 'id = "nel"', "id", "the file is called 'nell'"),
        ("[fallbacks]", "[topics]\nFog = 1\n[fallbacks]", "Fog = 1", "topics are lower case"),
        ("[fallbacks]", '[topics]\n"fog\\n" = 1\n[fallbacks]', '"fog', "topics are lower case"),
        ("[fallbacks]", "[topics]\nfog = nan\n[fallbacks]", "fog = nan", "topics.fog"),
        ('name = "', f'markers = {"[" * 200}{"]" * 200}\nname = "', "markers", "markers[0]: expected `str`"),
        ('"calm", ', '"calm, ', '"calm, ', ""),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, at: str, says: str) -> None:
    text = packs.minimal()
    assert old in text
    text = text.replace(old, new, 1)
    message = mistake(tmp_path, text)
    assert message.startswith(f"characters/nell.toml:{line_of(text, at)}: ")
    assert says in message


@pytest.mark.parametrize("field", ["id", "name", "summary", "lines", "voice", "personality"])
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    text = re.sub(rf"^{field} = (\[\n.*?^\]|.*?$)", "", packs.minimal(), count=1, flags=re.M | re.S)
    message = mistake(tmp_path, text)
    assert message.startswith("characters/nell.toml:1: ")
    assert field in message


def test_an_id_must_fit_into_a_subject(tmp_path: Path) -> None:
    text = packs.minimal().replace('id = "nell"', 'id = "nell.two"')
    assert "'nell.two' can't be an id" in mistake(tmp_path, text, "nell.two")


def test_an_unfinished_file_is_wrong_at_its_end(tmp_path: Path) -> None:
    text = packs.minimal().rstrip().removesuffix("]")
    assert mistake(tmp_path, text).startswith(f"characters/nell.toml:{text.count(chr(10)) + 1}: ")


def test_an_alias_is_nobody_elses_name(tmp_path: Path) -> None:
    text = packs.minimal()
    packs.write(tmp_path / "characters", text.replace('"nell"', '"abe"').replace("Nell H", "Abe H"), "abe")
    message = mistake(tmp_path, text.replace('name = "', 'aliases = [\n"Nelly",\n"ABE"]\nname = "'))
    assert message == "characters/nell.toml:4: 'ABE' is already what abe is called: choose another"


def test_ids_that_differ_only_in_case_are_the_same(tmp_path: Path) -> None:
    text = packs.minimal()
    packs.write(tmp_path / "characters", text.replace('"nell"', '"Nell"').replace("Nell H", "Abe H"), "Nell")
    if (tmp_path / "characters" / "nell.toml").exists():
        pytest.skip("this file system does not tell cases apart")
    assert "'nell' is already what Nell is called" in mistake(tmp_path, text)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    text = packs.minimal() + "#" * pack.FILE_BYTES_MAX
    assert mistake(tmp_path, text) == "characters/nell.toml is too big: 32 KiB is the most"


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "characters"
    packs.write(folder, "").write_bytes(b'id = "nell"\nname = "\xff"\n')
    with pytest.raises(errors.ConfigError, match=r"characters/nell.toml:2: not UTF-8"):
        pack.load(folder)


def test_a_bomb_of_brackets_or_digits_is_refused(tmp_path: Path) -> None:
    assert "lists too deep" in mistake(tmp_path, "id = " + "[" * 30_000)
    assert "number too long" in mistake(tmp_path, "id = " + "1" * 30_000)


def test_a_folder_without_packs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="no character packs"):
        pack.load(tmp_path)
    with pytest.raises(errors.ConfigError, match="QUAHOG_CHARACTERS"):
        pack.load(tmp_path / "missing")


def test_too_many_packs_are_refused(tmp_path: Path) -> None:
    for index in range(pack.PACKS_MAX + 1):
        packs.write(tmp_path, "", f"c{index}")
    with pytest.raises(errors.ConfigError, match="12 is the most"):
        pack.load(tmp_path)
