"""Properties: how many inputs they are tried with."""

from __future__ import annotations

from hypothesis import settings


def more_examples(times: int) -> settings:
    """As many examples more than the profile has, for a property whose inputs have many independent parts.

    :param times: the profile's number is multiplied by it.
    """
    return settings(max_examples=settings.default.max_examples * times)
