"""The catalogue: finding the records that an answer rests on, from a whole question with its slips."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import tantivy
from tantivy import Occur, Query

from space.catalogue.index import BEGINNING, build_index, decoded, key, open_index, put_in_place
from space.catalogue.scoring import SHORT, THRESHOLD, Question, relevant
from space.catalogue.text import QUESTION_WORDS, normalise, slips, spelled
from space.errors import CatalogueError

__all__ = [
    "THRESHOLD",
    "Catalogue",
    "CatalogueError",
    "build_index",
    "normalise",
    "put_in_place",
    "relevant",
]

CANDIDATES = 40  # records that BM25 proposes at least, before they are scored
SURE = 0.8  # of a score: the title is named in full, and no further look is worth its time
ASKING = 0.3  # a question word's weight against another's when candidates are proposed
MENDED = 8  # words of a question whose slips are looked up, some hundred look-ups each
MEANINGS = 16  # words that one word with a slip may stand for
RARE = 0.001  # of all records: a word that more titles have is no slip
COMMON = 0.02  # of all records: a word that more contents have is not looked up there
LONGEST = 12  # words of a title that says_nothing()


@dataclass(eq=False)
class Candidate:
    """A record that may be meant: its words, and its score once it has one."""

    uid: str
    title: str
    content: str
    score: float = field(default=0.0)

    @cached_property
    def named(self) -> set[str]:
        """The words of its title."""
        return set(spelled(self.title).split())

    @cached_property
    def told(self) -> set[str]:
        """The words of its content that are searched."""
        return set(spelled(self.content[:BEGINNING]).split())


class Catalogue:
    """A read-only view of one index; any number of threads may ask it at once."""

    def __init__(self, index: tantivy.Index) -> None:
        self._schema = index.schema
        self._searcher = index.searcher()
        self._rarity = lru_cache(2**16)(self._look_up_rarity)

    @classmethod
    def open(cls, folder: Path) -> Catalogue:
        """Opens a run's catalogue/ folder; raises CatalogueError where its index is missing, half-built or unknown."""
        return cls(open_index(folder))

    def __len__(self) -> int:
        return self._searcher.num_docs

    def search(self, query: str, k: int = 5) -> list[dict]:
        """Returns up to `k` records that share a word with `query`, best first: uid, title, content and score.

        `query` is any sentence. Titles are asked first; where none is named in full, words one slip away are allowed,
        and contents are asked as well. The score is Question.score(), 0 to 1.
        """
        question = Question(query, self._rarity, math.log1p(len(self)))
        if not question.words or k < 1 or not len(self):
            return []
        found: dict[tuple[int, int], Candidate] = {}
        for propose in (self._by_title, self._by_slips, self._by_content):
            for address in propose(question, max(CANDIDATES, 4 * k)):
                place = (address.segment_ord, address.doc)
                found[place] = found.get(place) or self._candidate(address)
            for candidate in found.values():
                candidate.score = question.score(candidate.named, candidate.told)
            if len(found) >= k and max(candidate.score for candidate in found.values()) >= SURE:
                break
        # Among equals the title as it stands in the query, then the one that takes up more of it, then BM25's order.
        best = sorted(
            (candidate for candidate in found.values() if candidate.score),
            key=lambda candidate: (
                -candidate.score,
                not question.spells(candidate.title),
                -len(question.asked.keys() & candidate.named),
            ),
        )
        return [
            {
                "uid": candidate.uid,
                "title": candidate.title,
                "content": candidate.content,
                "score": candidate.score,
            }
            for candidate in best[:k]
        ]

    def titles(self, count: int) -> list[str]:
        """Returns up to `count` titles at even distances through the catalogue, always the same ones."""
        size = len(self)
        count = min(count, size)
        places = [index * size // count for index in range(count)]
        return [
            self._candidate(address).title
            for place in places
            for address in self._at("position", place, 1)
        ]

    def by_uid(self, uid: str) -> dict | None:
        """Returns the record (uid, title, content) that goes by `uid`, or None."""
        for address in self._at("key", key(uid), 100):
            found = self._candidate(address)
            if found.uid == uid:
                return {"uid": found.uid, "title": found.title, "content": found.content}
        return None

    # --- what may be meant ---

    def _by_title(self, question: Question, limit: int) -> list[tantivy.DocAddress]:
        asking = [
            word for word in question.asked if word in QUESTION_WORDS and word not in question.words
        ]
        return self._whole_titles(question, limit) + self._in_titles(
            [*question.words, *asking], question, limit
        )

    def _by_slips(self, question: Question, limit: int) -> list[tantivy.DocAddress]:
        """Those with words one slip away from the question's rare ones."""
        # A short word is one slip away from many: alone it says too little, beside others it may be meant.
        least = 1 if len(question.words) > 1 else SHORT + 1
        rare = [
            word
            for word in question.words
            if word not in QUESTION_WORDS
            and len(word) >= least
            and self._titles_with(word) <= RARE * len(self)
        ]
        for word in sorted(rare, key=self._rarity, reverse=True)[:MENDED]:
            known = [(self._titles_with(other), other) for other in slips(word)]
            question.allow(
                word, [other for count, other in sorted(known, reverse=True)[:MEANINGS] if count]
            )
        if not question.meant:
            return []
        return self._in_titles([*question.words, *question.meant], question, limit)

    def _by_content(self, question: Question, limit: int) -> list[tantivy.DocAddress]:
        most = max(COMMON * len(self), 1000)
        words = [
            word for word in (*question.words, *question.meant) if self._contents_with(word) <= most
        ]
        return self._find([self._term("content_words", word) for word in words], limit)

    def _in_titles(
        self, words: Iterable[str], question: Question, limit: int
    ) -> list[tantivy.DocAddress]:
        clauses = []
        for word in words:
            clause = self._term("title_words", word, "freq")
            asking = not question.bare and word in QUESTION_WORDS
            clauses.append(Query.boost_query(clause, ASKING) if asking else clause)
        return self._find(clauses, limit)

    def _whole_titles(self, question: Question, limit: int) -> list[tantivy.DocAddress]:
        """Those whose title is a run of the question's words, where no word of it tells records apart."""
        if not question.bare:
            return []
        order = question.order[:64]
        runs = {
            " ".join(order[start : start + size])
            for start in range(len(order))
            for size in range(1, LONGEST + 1)
        }
        known = [
            run
            for run in sorted(runs.union(question.asked), key=lambda run: (-len(run), run))
            if self._searcher.doc_freq("whole", run)
        ]
        return [
            address
            for run in known[:limit]
            for address in self._find([self._term("whole", run)], limit)
        ]

    # --- the index ---

    def _find(self, clauses: list[Query], limit: int) -> list[tantivy.DocAddress]:
        if not clauses:
            return []
        query = Query.boolean_query([(Occur.Should, clause) for clause in clauses])
        return [address for _, address in self._searcher.search(query, limit, count=False).hits]

    def _at(self, field: str, value: int, limit: int) -> list[tantivy.DocAddress]:
        query = Query.range_query(self._schema, field, tantivy.FieldType.Unsigned, value, value)
        return [address for _, address in self._searcher.search(query, limit, count=False).hits]

    def _term(self, field: str, word: str, index_option: str = "basic") -> Query:
        return Query.term_query(self._schema, field, word, index_option)

    def _candidate(self, address: tantivy.DocAddress) -> Candidate:
        stored = self._searcher.doc(address)
        return Candidate(*(decoded(stored.get_first(name)) for name in ("uid", "title", "content")))

    def _titles_with(self, word: str) -> int:
        return self._searcher.doc_freq("title_words", word)

    def _contents_with(self, word: str) -> int:
        return self._searcher.doc_freq("content_words", word)

    def _look_up_rarity(self, word: str) -> float:
        """The inverse document frequency of a word, the greater where fewer titles and contents have it."""
        return math.log1p(len(self) / (1 + max(self._titles_with(word), self._contents_with(word))))
