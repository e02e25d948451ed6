"""Which known word a person meant who wrote another one: only where the two are so close that it is sure.

It must not guess: no suggestion is better than a misleading one.
"""

from collections.abc import Iterable

ONE_EDIT_FROM, TWO_EDITS_FROM = 3, 9
"""How long a word must be so that one edit, or two, leave it the same word."""


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of the words that was meant; None where none is close, or more than one is.

    Close is what differs in case and separators only, by one or two edits, or by whole words: `maxAge`, `windw`,
    `password` for `password_file`.
    """
    known = list(words)
    return (
        _only([each for each in known if bare(each) == bare(word)])
        or _only(_within(word, known))
        or _only([each for each in known if _is_part(word.lower(), each)])
    )


def bare(word: str) -> str:
    """Without case and separators."""
    return "".join(letter for letter in word.casefold() if letter not in " _-.")


def edits(one: str, other: str, most: int) -> int:
    """How many letters to insert, remove, replace or exchange with the next; `most` + 1 stands for more than `most`."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before, last = [0] * (len(other) + 1), list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return last[-1]


def _within(word: str, known: list[str]) -> list[str]:
    """The closest ones, if few edits are enough."""
    most = (len(word) >= ONE_EDIT_FROM) + (len(word) >= TWO_EDITS_FROM)
    counts = {each: edits(word.lower(), each.lower(), most) for each in known}
    least = min(counts.values(), default=most + 1)
    return [each for each, count in counts.items() if count == least <= most]


def _is_part(word: str, known: str) -> bool:
    """Whether it is one of the words that another is made of, or how that begins."""
    return len(word) >= ONE_EDIT_FROM and (known.startswith(word) or f"_{word}_" in f"_{known}_")


def _only(found: list[str]) -> str | None:
    return found[0] if len(found) == 1 else None
