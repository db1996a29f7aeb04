"""The catalogue's index: its schema, normalise(), and finding the records that an answer rests on."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

import tantivy
from tantivy import Occur, Query

FORMAT = 1  # of the index; one with another number is refused
MARKER = "complete.json"  # written last: an index without it is half-built
WRITER_MEMORY = 64_000_000  # bytes, before a segment goes to the disk
TITLE_WEIGHT = 3.0  # a word in the title against the same word in the content
NAMED_SHARE = 0.8  # of a score; see Catalogue.search()
RELEVANT_SHARE = 0.5  # of the best score, below which a record is not read
CANDIDATES = 40  # records that BM25 proposes at least, before they are scored
QUERY_WORDS = 64  # of a question that are looked up; a longer one costs time and finds nothing more

# Words that ask, and say nothing about which record is meant; spelled as normalise() leaves them.
QUESTION_WORDS = frozenset("""a about an and are as at can could describe did do does find for from give have how i in
is it know me of on or please s show tell that the there this to was were what when where which who why will with you
ao aos as com como conte da das de descreva diga do dos e em essa esse esta este eu explique fale foi gostaria isso
mais me mostre na nas no nos o onde os ou para pode por qual quais quando que quem sabe sao ser sobre tem um uma voce
""".split())


class SourceError(Exception):
    """A catalogue cannot be served; the words are meant for a person."""


def normalise(title: str) -> str:
    """Returns `title` casefolded, without accents and punctuation, its words one blank apart.

    A title of symbols alone keeps them, casefolded and stripped.
    """
    folded = title.casefold()
    if not folded.isascii():
        sound = folded.encode("utf-8", "ignore").decode()  # without lone surrogates
        bare = "".join(char for char in unicodedata.normalize("NFKD", sound) if not unicodedata.combining(char))
        folded = unicodedata.normalize("NFC", bare).casefold()
    return " ".join(re.sub(r"[\W_]+", " ", folded).split()) or folded.strip()


def relevant(found: Sequence[dict]) -> list[dict]:
    """Returns the records worth reading, best first: those with at least half of the best one's score.

    Where a question names one title, the others that share a word with it are noise to a model and to a reader.
    """
    return [record for record in found if record["score"] >= RELEVANT_SHARE * found[0]["score"]]


def schema() -> tantivy.Schema:
    """The record to show, as JSON; its words to search, as normalise() spells them; uid and place in the order."""
    builder = tantivy.SchemaBuilder()
    builder.add_bytes_field("record", stored=True)
    builder.add_text_field("title", tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field("content", tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field("uid", tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("position", indexed=True)
    return builder.build()


def build_index(records: Iterable[tuple[str, str, str]], path: Path) -> int:
    """Writes the index of (uid, title, content) records to the folder `path`; returns how many there are.

    It is built beside `path` and moved there when whole, in an older one's place. Raises OSError where it cannot write.
    """
    building = path.with_name(path.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        count = _write(records, building)
    except ValueError as error:  # tantivy's only kind
        raise OSError(f"the search index cannot be written: {error}") from error
    # Locks and bookkeeping stay behind, and the server may be another user than the one who built it.
    for file in building.iterdir():
        file.unlink() if file.name.startswith(".") else file.chmod(0o644)
    (building / MARKER).write_text(json.dumps({"format": FORMAT, "records": count}) + "\n", encoding="utf-8")
    put_in_place(building, path)
    return count


def put_in_place(building: Path, path: Path) -> None:
    """Renames the finished folder `building` to `path`, and removes the older folder there."""
    older = path.with_name(path.name + ".older")
    shutil.rmtree(older, ignore_errors=True)
    if path.exists():
        os.replace(path, older)
    os.replace(building, path)
    shutil.rmtree(older, ignore_errors=True)


def _write(records: Iterable[tuple[str, str, str]], folder: Path) -> int:
    count = 0
    writer = tantivy.Index(schema(), path=str(folder)).writer(WRITER_MEMORY, num_threads=1)
    for uid, title, content in records:
        record = json.dumps({"uid": uid, "title": title, "content": content}).encode()
        writer.add_document(tantivy.Document(
            record=record, title=normalise(title), content=normalise(content), uid=uid, position=count))
        count += 1
    writer.commit()
    writer.wait_merging_threads()
    return count


class Catalogue:
    """A read-only view of one index; any number of threads may ask it at once."""

    def __init__(self, index: tantivy.Index) -> None:
        self._schema = index.schema
        self._searcher = index.searcher()

    @classmethod
    def open(cls, folder: Path) -> Catalogue:
        """Opens a run's catalogue/ folder; raises SourceError where its index is missing, half-built or unknown."""
        path = folder / "index"
        _check(folder, path)
        try:
            # tantivy leaves a lock file where it opens; in a folder of links that is not the catalogue's own.
            with tempfile.TemporaryDirectory(prefix="catalogue-") as links:
                for file in path.iterdir():
                    os.symlink(file.resolve(), Path(links) / file.name)
                index = tantivy.Index.open(links)
                index.config_reader("manual")
                index.reload()
                return cls(index)
        except (OSError, ValueError) as error:
            raise SourceError(f"The search index in {folder} cannot be read ({error}): prepare the catalogue "
                              "again") from error

    def __len__(self) -> int:
        return self._searcher.num_docs

    def search(self, query: str, k: int = 5) -> list[dict]:
        """Returns up to `k` records that share a word with `query`, best first: uid, title, content and score.

        `query` is any sentence. The score is 0 to 1: four fifths are the share of the title that the query names,
        squared, since half a title may be another's; one fifth is the share of the query that the record holds. Both
        weigh a word by its rarity (inverse document frequency).
        """
        asked = dict.fromkeys(normalise(query).split())
        words = ([word for word in asked if word not in QUESTION_WORDS] or list(asked))[:QUERY_WORDS]
        if not words or k < 1:
            return []
        clauses = [(Occur.Should, clause) for word in words for clause in (
            Query.boost_query(self._term("title", word, "freq"), TITLE_WEIGHT),
            self._term("content", word, "freq"))]
        found = [self._record(address) for address in self._find(Query.boolean_query(clauses), max(CANDIDATES, 4 * k))]
        for record in found:
            record["score"] = round(self._score(record, asked.keys(), words), 4)
        # Among equals the title that takes up more of the query, then the order of BM25.
        found.sort(key=lambda record: (-record["score"], -len(asked.keys() & _words(record["title"]))))
        return found[:k]

    def titles(self, count: int) -> list[str]:
        """Returns up to `count` titles at even distances through the catalogue, always the same ones."""
        size = len(self)
        count = min(count, size)
        places = [index * size // count for index in range(count)]
        found = [self._find(self._term("position", place), 1) for place in places]
        return [self._record(address)["title"] for addresses in found for address in addresses]

    def by_uid(self, uid: str) -> dict | None:
        """Returns the record (uid, title, content) that goes by `uid`, or None."""
        found = self._find(self._term("uid", uid), 1)
        return self._record(found[0]) if found else None

    def _term(self, field: str, value: str | int, index_option: str = "basic") -> Query:
        return Query.term_query(self._schema, field, value, index_option)

    def _find(self, query: Query, limit: int) -> list[tantivy.DocAddress]:
        return [address for _, address in self._searcher.search(query, limit, count=False).hits]

    def _record(self, address: tantivy.DocAddress) -> dict:
        return json.loads(self._searcher.doc(address).get_first("record"))

    def _score(self, record: dict, asked: Set[str], words: Sequence[str]) -> float:
        title = _words(record["title"])
        named = self._share(title, asked)
        held = self._share(set(words), title | _words(record["content"]))
        return NAMED_SHARE * named**2 + (1 - NAMED_SHARE) * held

    def _share(self, words: set[str], among: Set[str]) -> float:
        """The share of `words` that is `among`, by rarity; 0 where there are no words."""
        rarities = {word: self._rarity(word) for word in words}
        return math.fsum(rarities[word] for word in words & among) / (math.fsum(rarities.values()) or 1)

    def _rarity(self, word: str) -> float:
        known = max(self._searcher.doc_freq(field, word) for field in ("title", "content"))
        return math.log1p(len(self) / (1 + known))


def _words(text: str) -> set[str]:
    return set(normalise(text).split())


def _check(folder: Path, path: Path) -> None:
    if not folder.is_dir():
        raise SourceError(f"There is no catalogue folder {folder}: prepare one, or name another")
    if not path.is_dir():
        raise SourceError(f"{folder} holds no search index: prepare the catalogue, or name another folder")
    try:
        theirs = json.loads((path / MARKER).read_text(encoding="utf-8"))["format"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise SourceError(f"The search index in {folder} is not complete: prepare the catalogue again") from error
    if theirs != FORMAT:
        raise SourceError(f"The search index in {folder} has format {theirs!r}, this version reads {FORMAT}: "
                          "prepare the catalogue again")
