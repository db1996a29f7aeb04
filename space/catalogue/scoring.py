"""How well a record fits a question: a score from 0 to 1, and from where on it counts as the one that is meant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from space.catalogue.text import QUESTION_WORDS, normalise, symbols

THRESHOLD = 0.45  # of a score; below it nothing in the catalogue is what the question names (measured: bench/LOG.md)
RELEVANT_SHARE = 0.5  # of the best score, below which a record is not read
NAMED_SHARE = 0.8  # of a score; see Question.score()
TOLD = 0.5  # of a score, for a record that holds every word of a question and is not named by it
TOLD_LITTLE = (
    0.4  # the same, where the content holds some of only one or two words: any long text may
)
NEAR = 0.9  # of a word, where one slip lies between the question's spelling and the record's
NEAR_DOUBTED = (
    0.75  # the same, where the question's spelling is a word of the catalogue too, or is short
)
SHORT = 3  # letters; two such words are often one slip apart
QUERY_WORDS = 64  # of a question that are looked up; a longer one costs time and finds nothing more


def relevant(found: Sequence[dict]) -> list[dict]:
    """Returns the records worth reading, best first; none where even the best has less than THRESHOLD.

    Where a question names one title, the others that share a word with it are noise to a model and to a reader: a
    record is left out with less than half of the best one's score.
    """
    if not found or found[0]["score"] < THRESHOLD:
        return []
    return [record for record in found if record["score"] >= RELEVANT_SHARE * found[0]["score"]]


class Question:
    """The words of one question, and what they weigh in a catalogue.

    `rarity` gives a word's weight there, from above 0 to `most` for a word that no record has. `words` are those that
    tell records apart: all but question words, or all where there are no others.
    """

    def __init__(self, text: str, rarity: Callable[[str], float], most: float) -> None:
        self.rarity, self.most = rarity, most
        text = text.encode("utf-8", "ignore").decode()  # without lone surrogates
        self.line = f" {normalise(text)} "
        self.order = self.line.split()
        self.asked = dict.fromkeys([*self.order, *symbols(text)])
        telling = [word for word in self.asked if _tells(word)]
        self.bare = not telling  # of words that tell records apart
        self.words = (telling or list(self.asked))[:QUERY_WORDS]
        self.near: dict[
            str, list[str]
        ] = {}  # a word as it was asked -> the catalogue's words one slip away
        self.meant: dict[str, float] = {}  # all of those -> how much of the word is then named

    def allow(self, word: str, near: Iterable[str]) -> None:
        """Lets `word` also stand for the words `near`; one that only asks is then no word to look for."""
        near, unknown = list(near), self.rarity(word) == self.most
        if unknown and not QUESTION_WORDS.isdisjoint(near) and len(self.words) > 1:
            self.words.remove(word)
            return
        self.near[word] = near
        for other in near:
            self.meant[other] = max(
                self.meant.get(other, 0), NEAR if unknown and len(word) > SHORT else NEAR_DOUBTED
            )

    def score(self, title: set[str], content: set[str]) -> float:
        """Returns the score of a record with these words: four fifths for being named, one fifth for holding the rest.

        Named is the share of the title that the question has, squared, since half a title may be another's, and less
        where the question goes on with rare words that the record does not hold: "Zorvaxi Kettle" names no "Kettle".
        All words weigh by their rarity. A record that is not named and holds every word gets TOLD.
        """
        named = self._share(
            title, lambda word: 1 if word in self.asked else self.meant.get(word, 0)
        )
        held, missed = [], []
        words = title | content
        for word in self.words:
            weight = self.rarity(word)
            hit = (
                1
                if word in words
                else max(
                    (self.meant[other] for other in self.near.get(word, ()) if other in words),
                    default=0,
                )
            )
            held.append(weight * hit)
            if not hit and _tells(word):
                missed.append(weight * weight / self.most)
        has = math.fsum(held)
        share = has / math.fsum(map(self.rarity, self.words))
        covered = has / (has + math.fsum(missed)) if has else 0
        told = TOLD if len(self.words) > 2 or title.issuperset(self.words) else TOLD_LITTLE
        score = max(NAMED_SHARE * named**2 * covered + (1 - NAMED_SHARE) * share, told * share**3)
        return round(min(score, 1), 4)

    def spells(self, title: str) -> bool:
        """Whether the question has this title, word for word."""
        return f" {normalise(title)} " in self.line

    def _share(self, words: set[str], hit: Callable[[str], float]) -> float:
        weights = {word: self.rarity(word) for word in words}
        return math.fsum(weights[word] * hit(word) for word in words) / (
            math.fsum(weights.values()) or 1
        )


def _tells(word: str) -> bool:
    return word not in QUESTION_WORDS and any(map(str.isalnum, word))
