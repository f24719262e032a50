"""Valve: what is turned."""

TURNS = 2


def turn(times: int = TURNS) -> str:
    """Turn it.

    Twice is enough.
    """

    return "turned" * times
