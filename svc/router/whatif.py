"""What-ifs of a replay: `name=value`, another character file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from svc import errors
from svc.router import replay, settings
from svc.wire import characters, tuning

SAMPLING = characters.Sampling.__struct_fields__
SETTINGS = settings.Settings.__struct_fields__


def parse(given: Sequence[str], options: settings.Settings) -> tuple[settings.Settings, replay.Edits]:
    """The router's settings and the edits that `name=value` pairs ask for.

    A name of `Sampling` (temperature, top_p, …) is set on whatever tuning advised, a `router_…` name on the
    settings. Raises ConfigError for any other name, and for a value that doesn't fit.
    """
    sampling: dict[str, str] = {}
    changed = {name: getattr(options, name) for name in SETTINGS}
    for pair in given:
        name, separator, value = pair.partition("=")
        if not separator:
            raise errors.ConfigError(f"--set wants name=value, not {pair!r}")
        if name in SAMPLING:
            sampling[name] = value
        elif name in SETTINGS:
            changed[name] = value
        else:
            known = ", ".join((*SAMPLING, *SETTINGS))
            raise errors.ConfigError(f"--set knows no {name!r}: choose from {known}")
    try:
        wanted = msgspec.convert(changed, settings.Settings, strict=False)
        drawn = msgspec.convert(sampling, characters.Sampling, strict=False)
    except msgspec.ValidationError as error:
        raise errors.ConfigError(f"--set: {error}") from None
    if not sampling:
        return wanted, {}

    def advised(_request: bytes, advice: msgspec.Struct) -> msgspec.Struct:
        assert isinstance(advice, tuning.Advice)
        overrides = {name: getattr(drawn, name) for name in sampling}
        return msgspec.structs.replace(advice, sampling=msgspec.structs.replace(advice.sampling, **overrides))

    return wanted, {("tuning", "advise"): (tuning.Advice, advised)}


def character(build: Callable[[characters.PromptRequest], characters.Prompt]) -> replay.Edits:
    """Another pack in the place of the recorded prompt; `build` makes the prompt for a request."""

    def prompted(request: bytes, _prompt: msgspec.Struct) -> msgspec.Struct:
        asked = msgspec.json.decode(request, type=characters.PromptRequest | None)
        if asked is None:
            raise errors.QuahogError("the request for the prompt is not on the record any more")
        return build(asked)

    return {("characters", "prompt"): (characters.Prompt, prompted)}
