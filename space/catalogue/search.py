"""Search for a question's records: candidates by BM25, then a score from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import tantivy
from tantivy import Occur, Query

from space.catalogue.index import SEARCHED_CONTENT, Hit, Record, decode_record, open_index
from space.catalogue.naming import kind_words, named_titles, names_by_case, number_forms
from space.catalogue.text import (
    QUESTION_WORDS,
    fold,
    is_telling,
    normalise,
    one_letter_edits,
    symbol_words,
)

# Measured in bench/LOG.md. Shares of a score, unless said otherwise.
THRESHOLD = 0.45  # below it nothing in the catalogue is what the question names
SUGGESTED = 0.2  # from here on a record is suggested, if it stands alone
RELEVANT_SHARE = 0.5  # of the best hit's score; a hit below it is left out
SURE = 0.8  # the title is named in full: no further look is worth its time
NAMED_SHARE = 0.8  # for being named; the rest is for holding the question's words
KIND = 0.5  # at least, for a record with all words of the kind that is asked for
DOUBTFUL = 0.6  # the same, where a word beside the title may be a misspelled one of a longer title
NAMED = 0.9  # at least, for a record whose whole title stands in the question
OTHER_NAME = 1.5  # of the rarest word's weight: a missed word that is in a name by its capital
UNNAMED = 0.5  # for a record that holds every word of a question and is not named by it
UNNAMED_FEW_WORDS = 0.4  # the same for one or two words, which any long text may hold
EDITED = 0.9  # of a word, where one edit lies between the question's spelling and the record's
EDITED_DOUBTFUL = 0.75  # the same, where the question's word is in the catalogue too, or is short

SHORT = 3  # letters; two such words are often one edit apart
QUERY_WORDS = 64  # of a question that are looked up; more cost time and find nothing more
CANDIDATES = 40  # records that BM25 proposes at least, before they are scored
ASKING_WEIGHT = 0.3  # a question word's weight against another's when BM25 proposes candidates
EDITED_WORDS = 8  # words of a question whose edits are looked up, some hundred look-ups each
MAX_SPELLINGS = 16  # words of the catalogue that one misspelled word may stand for
RARE = 0.001  # of all records: a word that more titles have is not misspelled
COMMON = 0.02  # of all records: a word that more contents have is not looked up there
LONGEST_TITLE = 12  # words of a title that only_asks()


def keep_relevant(hits: Sequence[Hit]) -> list[Hit]:
    """Keep the hits worth reading.

    There are none where even the best is below THRESHOLD. Where a question names one title, others
    that share a word with it are noise to a model and to a reader: a hit with less than
    RELEVANT_SHARE of the best score is left out.
    """
    if not hits or hits[0]["score"] < THRESHOLD:
        return []
    return [hit for hit in hits if hit["score"] >= RELEVANT_SHARE * hits[0]["score"]]


def suggest_title(hits: Sequence[Hit]) -> str:
    """Return a title that may be meant where no hit is relevant.

    Its score is from SUGGESTED to THRESHOLD, and far above the next one's. Empty where there is
    none.
    """
    if not hits or not SUGGESTED <= hits[0]["score"] < THRESHOLD:
        return ""
    alone = len(hits) == 1 or hits[1]["score"] <= RELEVANT_SHARE * hits[0]["score"]
    return hits[0]["title"] if alone else ""


# --- one question ----------------------------------------------------------------------------


@dataclass
class Candidate:
    """A record that may be meant: its words, and its score once it has one.

    `turn` is set where the question names its title: which record of that title it is, the best one
    first, and which of the titles in the question, also from 0. `least` is then its least score.
    """

    record: Record
    score: float = 0.0
    turn: tuple[int, int] | None = None
    least: float = 0.0
    title_words: set[str] = field(init=False)
    content_words: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.title_words = set(fold(self.record["title"]).split())
        self.content_words = set(fold(self.record["content"][:SEARCHED_CONTENT]).split())


class Question:
    """The words of one question, and their weights in a catalogue.

    `rarity` gives a word's weight there, from above 0 to `max_rarity` for a word that no record
    has. `words` are those that tell records apart: all but question words, or all where there are
    no others.
    """

    def __init__(self, text: str, rarity: Callable[[str], float], max_rarity: float) -> None:
        self.rarity, self.max_rarity = rarity, max_rarity
        text = text.encode("utf-8", "ignore").decode()  # without lone surrogates
        self.text = text
        self.names = names_by_case(text)
        self.line = f" {normalise(text)} "
        self.order = self.line.split()
        self.asked = dict.fromkeys([*self.order, *symbol_words(text)])
        telling = [word for word in self.asked if is_telling(word)]
        self.only_asks = not telling
        self.words = (telling or list(self.asked))[:QUERY_WORDS]
        # A word as it was asked -> the catalogue's words one edit away.
        self.spellings: dict[str, list[str]] = {}
        # All of those -> how much of the word they name.
        self.edited: dict[str, float] = {}

    def add_spellings(self, word: str, spellings: Sequence[str]) -> None:
        """Let `word` also stand for `spellings`.

        A misspelled question word is dropped.
        """
        unknown = self.rarity(word) == self.max_rarity
        if unknown and not QUESTION_WORDS.isdisjoint(spellings) and len(self.words) > 1:
            self.words.remove(word)
            return
        self.spellings[word] = list(spellings)
        share = EDITED if unknown and len(word) > SHORT else EDITED_DOUBTFUL
        for spelling in spellings:
            self.edited[spelling] = max(self.edited.get(spelling, 0), share)

    def score(self, title: set[str], content: set[str]) -> float:
        """Score a record by the words of its title and its content.

        NAMED_SHARE is for being named: the share of the title that the question has, squared, since
        half a title may be another's, and less where the question goes on with rare words that the
        record does not hold: "Zorvaxi Kettle" names no "Kettle". The rest is for holding the
        question's words. All words weigh by their rarity. A record that is not named and holds
        every word gets UNNAMED.
        """
        named, total, held = [], [], []
        for word in title:
            weight = self.rarity(word)
            total.append(weight)
            named.append(weight * (1 if word in self.asked else self.edited.get(word, 0)))
        title_share = math.fsum(named) / (math.fsum(total) or 1)
        missed = []
        record_words = title | content
        for word in self.words:
            weight = self.rarity(word)
            match = 1.0 if word in record_words else self._edited_match(word, record_words)
            held.append(weight * match)
            if not match and is_telling(word):
                missed.append(
                    OTHER_NAME * self.max_rarity
                    if word in self.names
                    else weight * weight / self.max_rarity
                )
        holds = math.fsum(held)
        share = holds / math.fsum(map(self.rarity, self.words))
        covered = holds / (holds + math.fsum(missed)) if holds else 0
        few_words = len(self.words) <= 2 and not title.issuperset(self.words)
        unnamed = (UNNAMED_FEW_WORDS if few_words else UNNAMED) * share**3
        score = NAMED_SHARE * title_share**2 * covered + (1 - NAMED_SHARE) * share
        return round(min(max(score, unnamed), 1), 4)

    def contains_title(self, title: str) -> bool:
        """Check whether the question has this title, word for word."""
        return f" {normalise(title)} " in self.line

    def _edited_match(self, word: str, record_words: set[str]) -> float:
        best = 0.0
        for spelling in self.spellings.get(word, ()):
            if spelling in record_words:
                best = max(best, self.edited[spelling])
        return best


# --- the catalogue ---------------------------------------------------------------------------


class Catalogue:
    """A read-only view of one index, safe for many threads."""

    def __init__(self, index: tantivy.Index) -> None:
        self._schema = index.schema
        self._searcher = index.searcher()
        self._rarity = lru_cache(2**16)(self._look_up_rarity)

    @classmethod
    def open(cls, folder: Path) -> Catalogue:
        """Open a run's catalogue/ folder, or raise CatalogueError."""
        return cls(open_index(folder))

    def __len__(self) -> int:
        return self._searcher.num_docs

    def search(self, query: str, k: int = 5) -> list[Hit]:
        """Find up to `k` records for any sentence, best first.

        They share a word with it. Titles are searched first. Where none is named in full, words one
        edit away are allowed, and contents are searched as well. The score is Question.score(), and
        at least NAMED for a record whose title the question names; of several titles each has its
        best record first. Where it asks for a kind, records with all its words score at least KIND.
        """
        question = Question(query, self._rarity, math.log1p(len(self)))
        if not question.words or k < 1 or not len(self):
            return []
        found = self._named(question, k) or self._of_kind(question, k)
        several = len({candidate.turn[1] for candidate in found.values() if candidate.turn}) > 1
        for propose in (self._by_title, self._by_edited_words, self._by_content):
            for address in propose(question, max(CANDIDATES, 4 * k)):
                key = (address.segment_ord, address.doc)
                if key not in found:
                    found[key] = Candidate(self._record(address))
            for candidate in found.values():
                score = question.score(candidate.title_words, candidate.content_words)
                candidate.score = max(score, candidate.least)
                if several and candidate.turn:
                    candidate.score = NAMED  # all the same: they stand in the question's order
            if len(found) >= k and max(candidate.score for candidate in found.values()) >= SURE:
                break

        def rank(candidate: Candidate) -> tuple[float, tuple[float, ...], bool, int]:
            # Of equals the title as the question has it, then the one that takes up more of it.
            contained = question.contains_title(candidate.record["title"])
            shared = len(question.asked.keys() & candidate.title_words)
            turn = candidate.turn or (math.inf,)
            return -candidate.score, turn, not contained, -shared

        scored = [candidate for candidate in found.values() if candidate.score]
        best = sorted(scored, key=rank)[:k]
        return [Hit(**candidate.record, score=candidate.score) for candidate in best]

    def titles(self, count: int) -> list[str]:
        """Return up to `count` evenly spaced titles, always the same ones."""
        count = min(count, len(self))
        found = []
        for index in range(count):
            position = index * len(self) // count
            query = Query.range_query(
                self._schema, "position", tantivy.FieldType.Unsigned, position, position
            )
            found += [self._record(address)["title"] for address in self._addresses(query, 1)]
        return found

    # --- candidates ---

    def _named(self, question: Question, limit: int) -> dict[tuple[int, int], Candidate]:
        """Find the records whose whole titles stand in the question."""
        found: dict[tuple[int, int], Candidate] = {}
        titles = named_titles(
            question.text,
            lambda key: self._count("whole", key) > 0,
            lambda word: self._count("title_words", word) > 0,
        )
        for position, named in enumerate(titles[:limit]):
            candidates = {}
            for address in self._with_any([self._term("whole", named.key)], CANDIDATES):
                candidates[address.segment_ord, address.doc] = Candidate(self._record(address))
            ordered = sorted(
                candidates.items(),
                key=lambda item: not question.contains_title(item[1].record["title"]),
            )
            for turn, (key, candidate) in enumerate(ordered[:limit]):
                candidate.turn = turn, position
                candidate.least = DOUBTFUL if named.doubtful else NAMED
                found.setdefault(key, candidate)
        return found

    def _of_kind(self, question: Question, limit: int) -> dict[tuple[int, int], Candidate]:
        """Find records with all words of the kind asked for."""
        found: dict[tuple[int, int], Candidate] = {}
        groups = []
        for word in kind_words(question.text):
            clauses = []
            for form in number_forms(word):
                clauses += [self._term("title_words", form, "freq")]
                clauses += [self._term("content_words", form)]
            either = Query.boolean_query([(Occur.Should, clause) for clause in clauses])
            groups.append((Occur.Must, either))
        if groups:
            for address in self._addresses(Query.boolean_query(groups), limit):
                candidate = Candidate(self._record(address), least=KIND)
                found[address.segment_ord, address.doc] = candidate
        return found

    def _by_title(self, question: Question, limit: int) -> list[tantivy.DocAddress]:
        words = list(question.words)
        words += [word for word in question.asked if word in QUESTION_WORDS and word not in words]
        return self._by_complete_title(question, limit) + self._in_titles(words, question, limit)

    def _by_edited_words(self, question: Question, limit: int) -> list[tantivy.DocAddress]:
        """Look for words one edit away from the question's rare ones."""
        # A short word is one edit away from many: alone it says too little.
        least = 1 if len(question.words) > 1 else SHORT + 1
        most_titles = RARE * len(self)
        rare = [
            word
            for word in question.words
            if word not in QUESTION_WORDS
            and len(word) >= least
            and self._count("title_words", word) <= most_titles
        ]
        for word in sorted(rare, key=self._rarity, reverse=True)[:EDITED_WORDS]:
            counted = [(self._count("title_words", edit), edit) for edit in one_letter_edits(word)]
            known = sorted(counted, reverse=True)[:MAX_SPELLINGS]
            question.add_spellings(word, [edit for count, edit in known if count])
        if not question.edited:
            return []
        return self._in_titles([*question.words, *question.edited], question, limit)

    def _by_content(self, question: Question, limit: int) -> list[tantivy.DocAddress]:
        most = max(COMMON * len(self), 1000)
        words = [*question.words, *question.edited]
        rare = [word for word in words if self._count("content_words", word) <= most]
        return self._with_any([self._term("content_words", word) for word in rare], limit)

    def _in_titles(
        self, words: Iterable[str], question: Question, limit: int
    ) -> list[tantivy.DocAddress]:
        clauses = []
        for word in words:
            clause = self._term("title_words", word, "freq")
            if word in QUESTION_WORDS and not question.only_asks:
                clause = Query.boost_query(clause, ASKING_WEIGHT)
            clauses.append(clause)
        return self._with_any(clauses, limit)

    def _by_complete_title(self, question: Question, limit: int) -> list[tantivy.DocAddress]:
        """Look for titles of question words or symbols alone."""
        if not question.only_asks:
            return []
        order, runs = question.order[:64], set(question.asked)
        for start in range(len(order)):
            runs.update(
                " ".join(order[start : start + size]) for size in range(1, LONGEST_TITLE + 1)
            )
        known = [run for run in runs if self._count("whole", run)]
        known.sort(key=lambda run: (-len(run), run))
        addresses = []
        for run in known[:limit]:
            addresses += self._with_any([self._term("whole", run)], limit)
        return addresses

    # --- the index ---

    def _with_any(self, clauses: list[Query], limit: int) -> list[tantivy.DocAddress]:
        if not clauses:
            return []
        query = Query.boolean_query([(Occur.Should, clause) for clause in clauses])
        return self._addresses(query, limit)

    def _addresses(self, query: Query, limit: int) -> list[tantivy.DocAddress]:
        return [address for _, address in self._searcher.search(query, limit, count=False).hits]

    def _term(self, name: str, word: str, index_option: str = "basic") -> Query:
        return Query.term_query(self._schema, name, word, index_option)

    def _record(self, address: tantivy.DocAddress) -> Record:
        return decode_record(self._searcher.doc(address))

    def _count(self, name: str, word: str) -> int:
        """How many records have this word in this field."""
        return self._searcher.doc_freq(name, word)

    def _look_up_rarity(self, word: str) -> float:
        """Compute a word's inverse document frequency, in titles or contents."""
        most = max(self._count("title_words", word), self._count("content_words", word))
        return math.log1p(len(self) / (1 + most))
