"""Public names of projects: short enough to read out, and never to be misread."""

import secrets

LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ"
ALPHABET = LETTERS + "23456789"
"""Without I, L, O, 0 and 1, which look like one another."""

LENGTH = 8


def new_identifier() -> str:
    """A letter, then letters and digits, drawn by chance: of 6 · 10¹¹, so a clash is rare and tried again."""
    number, first = divmod(
        secrets.randbits(96), len(LETTERS)
    )  # so many bits that no letter comes noticeably more often
    letters = [LETTERS[first]]
    for _ in range(LENGTH - 1):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    return "".join(letters)
