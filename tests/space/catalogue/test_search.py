"""The catalogue's index: normalise(), what is found for a question, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from space.catalogue.index import MARKER, build_index
from space.catalogue.search import THRESHOLD, Catalogue, keep_relevant, suggest_title
from space.catalogue.text import normalise
from space.errors import CatalogueError

RECORDS = [
    ("u1", "Mog's Kittens", "Judith Kerr wrote of an exasperating cat and of her young ones."),
    ("u2", "Kittens", "A picture book about young cats."),
    ("u3", "The Prophet", "A mysterious prophet walks the sands."),
    ("u4", "Chaleira Tuguma", "É de cobre, obra de artesãos de Évora, e ferve depressa."),
    ("u5", "C++: A Guide [2nd Edition]", "Templates AND pointers: a book to learn from."),
    ("u6", "What Is It?", "A riddle on each page."),
    ("u7", "Blue Kettle", "The colour of this one is red, and it weighs 300 g."),
    ("u8", "Red Lamp", "What is the light of a lamp that the shop tells you about? You know it."),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    assert build_index(RECORDS, folder / "index") == len(RECORDS)
    return folder


@pytest.fixture(scope="module")
def catalogue(folder) -> Catalogue:
    return Catalogue.open(folder)


def uids(found: list[dict]) -> list[str]:
    return [record["uid"] for record in found]


def test_a_found_record_has_four_fields_and_its_own_spelling(catalogue):
    found = catalogue.search("What is Mog's Kittens?")
    assert found[0] == {
        "uid": "u1",
        "title": "Mog's Kittens",
        "content": RECORDS[0][2],
        "score": 1.0,
    }
    assert list(found[0]) == ["uid", "title", "content", "score"]


@pytest.mark.parametrize(
    ("query", "uid"),
    [
        ("What is Mog's Kittens?", "u1"),
        ("tell me about MOG\u2019S KITTENS", "u1"),
        ("Describe Kittens.", "u2"),
        ("What do you know about The Prophet?", "u3"),
        ("O que é Chaleira Tuguma?", "u4"),
        ("fale sobre a CHALÉIRA TÚGUMA", "u4"),
        ("(C++: A Guide [2nd Edition])", "u5"),
        ("What is What Is It??", "u6"),
        ("what is it", "u6"),
        ("What is the blue kettle made of, and what does it weigh?", "u7"),
    ],
)
def test_a_title_in_the_question_comes_first_with_a_score_near_one(catalogue, query, uid):
    best, *others = catalogue.search(query)
    assert best["uid"] == uid
    assert best["score"] >= 0.85
    assert all(other["score"] < best["score"] for other in others)


def test_a_title_comes_before_the_same_words_in_a_content(tmp_path):
    build_index(
        [
            ("content", "Something else", "copper kettle"),
            ("title", "Copper kettle", "Something other"),
        ],
        tmp_path / "index",
    )
    assert uids(Catalogue.open(tmp_path).search("copper kettle")) == ["title", "content"]


def test_of_two_titles_in_a_question_the_longer_comes_first(tmp_path):
    build_index(
        [("short", "The Future", "What is of the."), ("long", "The Future of What", "A record.")],
        tmp_path / "index",
    )
    assert uids(Catalogue.open(tmp_path).search("What is The Future of What?")) == ["long", "short"]


def test_words_of_a_content_are_found(catalogue):
    found = catalogue.search("who wrote of artesaos in evora")
    assert found[0]["uid"] == "u4"
    assert 0 < found[0]["score"] < 0.5


def test_half_a_title_scores_clearly_less_than_a_whole_one(catalogue):
    half = {record["uid"]: record["score"] for record in catalogue.search("a green kettle")}
    assert 0.1 < half["u7"] < 0.6


def test_question_words_alone_find_nothing_beside_the_title(catalogue):
    assert uids(catalogue.search("What do you know about the Tuguma, please tell me?")) == ["u4"]


@pytest.mark.parametrize("query", ["What is Zorblax?", "zorblax", "", "   ", "???", "\0", "\ud800"])
def test_no_word_in_common_finds_nothing(catalogue, query):
    assert catalogue.search(query) == []


@pytest.mark.parametrize(
    "query",
    [
        '"Blue Kettle',
        "Blue AND OR NOT Kettle",
        "title:blue kettle^9 ~ *",
        "[blue TO kettle}",
        "+blue -kettle",
        "blue\\ kettle /x/",
        "blue kettle 'x' {y} <z>",
        "blue kettle " + "word " * 5000,
        "blue kettle " + "x" * 100_000,
    ],
)
def test_no_spelling_of_a_question_is_a_query_language(catalogue, query):
    assert catalogue.search(query)[0]["uid"] == "u7"


def test_k_is_the_most_that_is_found(catalogue):
    everything = "kittens prophet chaleira guide riddle kettle lamp"
    assert [len(catalogue.search(everything, k)) for k in (-1, 0, 1, 3, 50)] == [0, 0, 1, 3, 8]
    scores = [record["score"] for record in catalogue.search(everything, 50)]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 and score == round(score, 4) for score in scores)


def test_rare_words_weigh_more(tmp_path):
    records = [(str(n), f"Lamp {n}", "A lamp.") for n in range(50)]
    build_index([*records, ("rare", "Zimbolo Lamp", "A lamp.")], tmp_path / "index")
    scores = {
        record["uid"]: record["score"]
        for record in Catalogue.open(tmp_path).search("zimbolo lamp", 60)
    }
    assert scores["rare"] == 1.0
    assert max(score for uid, score in scores.items() if uid != "rare") < 0.1


def test_a_record_without_a_title_is_no_harm(tmp_path):
    build_index([("u", "", "copper kettle")], tmp_path / "index")
    assert uids(Catalogue.open(tmp_path).search("kettle")) == ["u"]


def test_titles_are_spread_and_always_the_same(catalogue, folder):
    assert catalogue.titles(4) == [RECORDS[place][1] for place in (0, 2, 4, 6)]
    assert Catalogue.open(folder).titles(4) == catalogue.titles(4)
    assert catalogue.titles(100) == [title for _, title, _ in RECORDS]
    assert catalogue.titles(0) == []


# --- slips, and what is not there ---


@pytest.mark.parametrize(
    ("query", "uid"),
    [
        ("What is Mog's Kitens?", "u1"),  # a letter lost
        ("tell me about the Propphet please", "u3"),  # added
        ("What is Blue Kettla?", "u7"),  # replaced
        ("What is Bleu Kettle?", "u7"),  # two changed over
        ("waht is blue kettle", "u7"),  # in the asking
        ("o que é a chaliera tuguma", "u4"),
        ("O QUE VOCÊ SABE SOBRE A TÚGUMA CHALÉIRA?", "u4"),  # words changed over
        ("me fale da Chaleira", "u4"),  # a word missing
        ("kettle blue", "u7"),
    ],
)
def test_a_question_with_a_slip_is_understood(catalogue, query, uid):
    assert uids(keep_relevant(catalogue.search(query)))[:1] == [uid]


@pytest.mark.parametrize(
    "query",
    [
        "What is Zorvaxi Kettle?",
        "What is Zorvaxi Blue?",
        "Zorvaxi",
        "O que é Chaleira Zorvaxi?",
        "tell me about the Zorvaxi Guide please",
        "What is the weather?",
        "",
        "???",
        "who wrote it",
        "Describe the Zorvaxi Prophecy.",
    ],
)
def test_a_title_that_is_not_there_has_no_relevant_record(catalogue, query):
    assert keep_relevant(catalogue.search(query)) == []


def test_relevant_takes_the_threshold_and_half_of_the_best():
    assert keep_relevant([]) == []
    scores = [1.0, 0.5, 0.4999]
    assert keep_relevant([{"score": score} for score in scores]) == [{"score": 1.0}, {"score": 0.5}]
    assert keep_relevant([{"score": THRESHOLD - 0.0001}]) == []
    assert keep_relevant([{"score": THRESHOLD}, {"score": THRESHOLD / 2}]) == [
        {"score": THRESHOLD},
        {"score": THRESHOLD / 2},
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("red lamp", {"r1", "r2", "r3"}),
        ("do you have a red one?", {"r1", "r2", "r3", "chair"}),
        ("list lamps", {"r1", "r2", "r3", "green"}),
        ("any red chairs?", {"chair"}),
        ("tem cadeiras?", {"cadeira"}),
        ("Tem algo vermelho?", {"cadeira"}),
        ("do you have a purple lamp?", set()),
        ("do you have purple ones?", set()),
        ("Do you have the Zorvaxi Lamp?", set()),
    ],
)
def test_a_question_about_a_kind_gets_the_records_of_that_kind(tmp_path, query, found):
    records = [
        ("r1", "Oak Lamp, Red", "It shines."),
        ("r2", "Desk Lamp", "A lamp in red."),
        ("r3", "Red Hall Lamp", "It hangs."),
        ("green", "Garden Lamp", "It is green."),
        ("chair", "Kitchen Chair", "Made of beech, painted red."),
        ("cadeira", "Cadeira de Pinho", "De pinho, em vermelho."),
        *((f"f{index}", f"Filler {index}", "Nothing else.") for index in range(40)),
    ]
    build_index(records, tmp_path / "index")
    hits = Catalogue.open(tmp_path).search(query, 5)
    assert set(uids(keep_relevant(hits))) == found
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)


@pytest.mark.parametrize(
    ("scores", "suggested"),
    [
        ([], ""),
        ([0.4], "0"),
        ([0.4, 0.04], "0"),
        ([0.4, 0.39], ""),
        ([0.1], ""),
        ([THRESHOLD, 0.1], ""),
    ],
)
def test_a_title_is_suggested_where_it_stands_alone_below_the_threshold(scores, suggested):
    hits = [{"title": str(index), "score": score} for index, score in enumerate(scores)]
    assert suggest_title(hits) == suggested


def test_a_slip_costs_a_little_and_a_number_is_no_slip(tmp_path):
    build_index(
        [("one", "Atlas Volume 1985", "A."), ("two", "Atlas Volume 1984", "B.")], tmp_path / "index"
    )
    found = Catalogue.open(tmp_path).search("atlsa volume 1984")
    assert found[0]["uid"] == "two" and 0.85 < found[0]["score"] < 1
    assert found[1]["score"] < found[0]["score"] - 0.2


def test_an_exact_word_comes_before_one_that_is_near(tmp_path):
    build_index(
        [("near", "Meza", "A."), ("exact", "Vesa Wobo Nanu", "B."), ("none", "Vase", "C.")],
        tmp_path / "index",
    )
    assert uids(Catalogue.open(tmp_path).search("What is Vesa Nanu?"))[0] == "exact"


def test_equal_words_in_another_order_come_second(tmp_path):
    build_index([("other", "Wobo Vesa", "A."), ("meant", "Vesa Wobo", "A.")], tmp_path / "index")
    found = Catalogue.open(tmp_path).search("What is Vesa Wobo?")
    assert uids(found) == ["meant", "other"] and found[0]["score"] == found[1]["score"] == 1


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("What is The Who?", "The Who"),
        ("It", "It"),
        ("tell me about It", "It"),
        ("What is What Is This?", "What Is This?"),
        ("What is !!!?", "!!!"),
        ("!!!", "!!!"),
        ("+/-", "+/-"),
        ("O que é +/- ?", "+/-"),
        ("What to do", "What to Do"),
    ],
)
def test_titles_of_question_words_or_symbols_alone(tmp_path, query, title):
    titles = [
        "The Who",
        "It",
        "What Is This?",
        "!!!",
        "+/-",
        "What to Do",
        "The Whole Story",
        "It Was Written",
    ]
    build_index(
        [(title, title, "A record.") for title in titles]
        + [(str(n), f"Tell Me {n}", "It is.") for n in range(99)],
        tmp_path / "index",
    )
    assert keep_relevant(Catalogue.open(tmp_path).search(query))[0]["title"] == title


def test_a_common_word_does_not_hide_a_title(tmp_path):
    records = [(str(n), f"Like {'abcdefghij'[n % 10]}{n}", "A.") for n in range(500)]
    build_index([*records, ("play", "As You Like It", "A comedy.")], tmp_path / "index")
    assert uids(Catalogue.open(tmp_path).search("What is As You Like It?"))[0] == "play"


def test_words_that_only_ask_are_no_slips(tmp_path):
    build_index([("u", "Whata", "A record."), ("v", "Kettle", "Another.")], tmp_path / "index")
    assert keep_relevant(Catalogue.open(tmp_path).search("what is it")) == []
    assert uids(keep_relevant(Catalogue.open(tmp_path).search("what is whatta"))) == ["u"]


@pytest.mark.parametrize(
    "text",
    [
        "zorvax kettel " * 7000,
        " ".join(f"wrod{chr(97 + n % 26)}{'x' * (n % 9)}" for n in range(9000)),
        "x" * 100_000,
        "it is what " * 9000,
        "!!! " * 25_000,
        " ".join(map(str, range(17_000))),
    ],
)
def test_a_long_question_takes_little_time(catalogue, text):
    begun = time.perf_counter()
    found = catalogue.search(text, 5)
    assert time.perf_counter() - begun < 1
    assert all(0 < record["score"] <= 1 for record in found)


def test_texts_come_back_as_they_went_in(tmp_path):
    record = ("u\ud800", "Odd \udfff Kettle\0", "Line\n\ttab \ud83d end")
    build_index([record, ("", "Other", "")], tmp_path / "index")
    odd = Catalogue.open(tmp_path)
    found, other = odd.search("odd kettle")[0], odd.search("other")[0]
    assert (found["uid"], found["title"], found["content"]) == record
    assert other["uid"] == "" and other["title"] == "Other"


def test_an_empty_index_is_served(tmp_path):
    assert build_index([], tmp_path / "index") == 0
    empty = Catalogue.open(tmp_path)
    assert (len(empty), empty.search("kettle"), empty.titles(3)) == (0, [], [])


def test_threads_get_what_one_gets(catalogue):
    queries = [title for _, title, _ in RECORDS] * 15 + [
        "Bleu Kettel",
        "artesaos",
        "Zorvaxi Lamp",
        "It",
    ] * 15
    alone = [catalogue.search(query) for query in queries]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(catalogue.search, queries)) == alone


def test_serving_leaves_no_trace_and_needs_no_right_to_write(folder):
    before = sorted((file.name, file.stat().st_mtime_ns) for file in (folder / "index").iterdir())
    assert not any(name.startswith(".") for name, _ in before)
    assert all(file.stat().st_mode & 0o444 == 0o444 for file in (folder / "index").iterdir())
    Catalogue.open(folder).search("kettle")
    assert (
        sorted((file.name, file.stat().st_mtime_ns) for file in (folder / "index").iterdir())
        == before
    )


@pytest.mark.skipif(
    not hasattr(os, "fork") or os.geteuid() != 0, reason="only root can become another user"
)
def test_another_user_can_serve_a_read_only_folder(tmp_path):
    build_index(RECORDS, tmp_path / "index")
    for place in (tmp_path, *tmp_path.parents):
        if not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o055)
    reader = os.fork()
    if reader == 0:
        os.setuid(65534)
        try:
            found = Catalogue.open(tmp_path).search("kettle")
            os._exit(0 if found and not os.access(tmp_path / "index", os.W_OK) else 3)
        except BaseException:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]) == 0


def test_a_new_index_takes_the_place_of_an_older_one(tmp_path):
    build_index(RECORDS, tmp_path / "index")
    older = Catalogue.open(tmp_path)
    build_index([("new", "Green Vase", "It is new.")], tmp_path / "index")
    assert uids(Catalogue.open(tmp_path).search("green vase")) == ["new"]
    assert older.search("blue kettle")[0]["uid"] == "u7"
    assert [file.name for file in tmp_path.iterdir()] == ["index"]


def test_an_index_that_was_broken_off_leaves_the_older_one(tmp_path):
    def broken_off():
        yield from RECORDS
        raise KeyboardInterrupt

    build_index(RECORDS[:3], tmp_path / "index")
    with pytest.raises(KeyboardInterrupt):
        build_index(broken_off(), tmp_path / "index")
    assert len(Catalogue.open(tmp_path)) == 3
    assert build_index(RECORDS, tmp_path / "index") == len(Catalogue.open(tmp_path)) == 8


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(
        CatalogueError,
        match=r"^There is no catalogue folder .*/nowhere: prepare one, or name another$",
    ):
        Catalogue.open(tmp_path / "nowhere")


def test_a_folder_without_an_index(tmp_path):
    with pytest.raises(
        CatalogueError,
        match=r"holds no search index: prepare the catalogue, or name another folder$",
    ):
        Catalogue.open(tmp_path)


@pytest.mark.parametrize("marker", [None, "", "{", "[]", "{}"])
def test_a_half_built_index(tmp_path, marker):
    build_index(RECORDS, tmp_path / "index")
    (tmp_path / "index" / MARKER).unlink()
    if marker is not None:
        (tmp_path / "index" / MARKER).write_text(marker)
    with pytest.raises(
        CatalogueError,
        match=r"The search index in .* is not complete: prepare the catalogue again$",
    ):
        Catalogue.open(tmp_path)


def test_an_index_of_another_format(tmp_path):
    build_index(RECORDS, tmp_path / "index")
    (tmp_path / "index" / MARKER).write_text(json.dumps({"format": 99, "records": 8}))
    with pytest.raises(
        CatalogueError, match=r"has format 99, this version reads 2: prepare the catalogue again$"
    ):
        Catalogue.open(tmp_path)


@pytest.mark.parametrize("suffix", ["meta.json", ".store", ".term"])
def test_an_index_with_a_file_lost(tmp_path, suffix):
    build_index(RECORDS, tmp_path / "index")
    next(file for file in (tmp_path / "index").iterdir() if file.name.endswith(suffix)).unlink()
    with pytest.raises(
        CatalogueError, match=r"The search index in .* cannot be read \(.+\): prepare the .* again$"
    ):
        Catalogue.open(tmp_path)


def test_an_index_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        build_index(RECORDS, tmp_path / "file" / "index")


def test_the_space_needs_nothing_of_training():
    code = (
        "import sys, space.catalogue; "
        "sys.exit(any(name.split('.')[0] in ('train', 'polars') for name in sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3]).returncode == 0
    )


def test_real_titles_are_found_first(tmp_path):
    path = Path(__file__).parents[4] / "shared" / "data" / "music-3700.jsonl"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the project")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    build_index(((row["uid"], row["title"], row["content"]) for row in rows), tmp_path / "index")
    catalogue = Catalogue.open(tmp_path)
    best = catalogue.search("who made Dancing in the Dragon's Jaws")[0]
    assert best["uid"] == "B00006LLPS" and best["score"] > 0.9
    asked = [row["title"] for row in rows[::25] if normalise(row["title"])]
    first = [catalogue.search(f"What is {title}?")[0]["title"] for title in asked]
    assert sum(
        normalise(one) == normalise(title) for one, title in zip(first, asked, strict=True)
    ) >= 0.97 * len(asked)
