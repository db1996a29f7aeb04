"""Titles in questions: how many are found as people ask, and which language is read."""

from __future__ import annotations

import html
import itertools
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.figures import ROOT, Figure, Options, Outcome, Skipped
from space.catalogue import (
    Catalogue,
    Record,
    build_index,
    keep_relevant,
    normalise,
    question_language,
)
from space.model import PromptTemplate
from train.examples.unanswerable import invent_titles

MUSIC = ROOT.parent / "shared" / "data" / "music-3700.jsonl"
OURS = ROOT / "examples" / "catalogue"
TITLES, MADE_UP, PAIRS = 8, 200, 50
# The search was made with these in view.
KNOWN_WAYS = (
    "What is {t}?",
    "{t}",
    "tell me about {t} please",
    "Describe {t}.",
    "Do you have {t}?",
    "Is the {t} good for camping?",
    "hi, can you tell me something about the {t} please?",
    "How much does {t} weigh?",
    "Who made {t}, and when?",
    "I'm looking for a birthday gift; would {t} be something for a ten-year-old?",
    "what's in the box of {t}",
    "Hello! My brother wants {t}. Is it still available?",
    "Can I return {t} if my wife doesn't like it?",
    "which colours does {t} come in?",
    "Please give me a short summary of {t} in two sentences.",
    "is {t} worth the money or should I keep my old one",
    "O que é {t}?",
    "fale sobre {t}",
    "Queria comprar {t} para minha irmã, vale a pena?",
    "Vocês têm {t}?",
    "Quanto custa {t} e quanto pesa?",
    "Oi, tudo bem? Estou procurando {t}, ainda tem?",
    "De que material é feito {t}?",
    "o {t} serve para presente de aniversário?",
    "Quem é o autor de {t}?",
    "Me explica o que vem com {t}, por favor",
    "Bom dia, gostaria de saber mais detalhes de {t} antes de decidir.",
)
# These were written afterwards, and the search was not changed to suit them.
LATER_WAYS = (
    "My son broke his {t} yesterday, do you sell spare parts for it?",
    "Does {t} ship to Ireland before Christmas?",
    "thinking about {t}... any downsides?",
    "I read that {t} got great reviews. True?",
    "WHAT IS SO SPECIAL ABOUT {t}?",
    "how long is {t}",
    "Could you compare {t} with something cheaper?",
    "{t} or not {t}, that is my question",
    "{t} - how big is it, roughly?",
    "{t}: tell me everything",
    "(about {t}) who published it?",
    "Is there a newer edition of {t}, by any chance?",
    "In one sentence, why would anybody buy {t}?",
    "Good evening, does '{t}' need batteries?",
    "I lost my copy of {t}; can I order another today?",
    "we'd like three of {t} for our school please",
    "What year did {t} come out, and is it still made?",
    "so what exactly comes with {t}, and is it safe for toddlers",
    "I'd want to know whether {t} fits in a hand luggage bag",
    "explain {t} like I'm five",
    "any chance you have {t} in stock right now?",
    "Was {t} made in Germany?",
    "Olá! Alguém aí conhece {t}?",
    "{t} é bom mesmo ou só propaganda?",
    "Minha avó pediu {t}, vocês entregam em Recife?",
    "quero muito {t}, tem desconto à vista?",
    "Em que ano saiu {t}?",
    "A {t} aguenta chuva forte no quintal?",
    "Preciso de duas unidades de {t} até sexta-feira",
    "Qual a diferença entre {t} e os outros modelos parecidos?",
    "Dá para lavar {t} na máquina?",
    "Resuma {t} numa frase curta.",
    "Já li coisas ruins de {t}; é verdade que quebra fácil?",
    "Por que {t} custa tão caro?",
    "Boa noite, o tamanho de {t} cabe numa mochila pequena?",
    "sobre {t}, o que o registro diz?",
    "Meu filho adora {t}, existe algo parecido?",
    "Vem com manual em português o tal do {t}?",
)
MADE_UP_WAYS = (
    "What is {t}?",
    "Is the {t} good for camping?",
    "hi, can you tell me something about the {t} please?",
    "Queria comprar {t} para minha irmã, vale a pena?",
    "Vocês têm {t}?",
    "{t}",
    "How much does {t} weigh?",
    "list everything you know on {t}",
)
PAIR_WAYS = (
    "compare {a} and {b}",
    "Which is heavier, {a} or {b}?",
    "Qual é melhor, {a} ou {b}?",
    "{a} vs {b}",
)


def measure(options: Options) -> Outcome:
    """Ask for titles of a real catalogue and of ours in many ways, and for titles that are none."""
    if not MUSIC.is_file():
        raise Skipped(f"{MUSIC} is not there")
    figures, samples = [], {}
    for name, rows in (("music", read_rows([MUSIC])), ("ours", read_rows(OURS.glob("*.jsonl")))):
        with tempfile.TemporaryDirectory() as folder:
            build_index(rows, Path(folder, "index"))
            found, failed = measure_catalogue(name, Catalogue.open(Path(folder)), rows, options)
        figures += found
        samples[name] = failed
    return Outcome(figures, samples)


Row = tuple[str, str, str]


def read_rows(paths: Iterable[Path]) -> list[Row]:
    """Read (uid, title, content) of the records that have a title."""
    rows = []
    for path in sorted(paths):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if title := html.unescape(row["title"]).strip():
                rows.append((row["uid"], title, html.unescape(row["content"])))
    return rows


def measure_catalogue(
    name: str, catalogue: Catalogue, rows: Sequence[Row], options: Options
) -> tuple[list[Figure], dict[str, list[str]]]:
    """Measure the shares found in one catalogue; return them with the questions that failed."""
    titles = [title for _, title, _ in rows if len(normalise(title).split()) > 1]
    single = [title for _, title, _ in rows if len(normalise(title).split()) == 1]
    made_up = take_made_up(rows, 20 if options.tiny else MADE_UP)
    pairs = list(zip(spread(titles, PAIRS), spread(titles[3:], PAIRS), strict=True))
    asked: dict[str, list[tuple[str, list[str]]]] = {
        "27 ways, 8 titles": cross(KNOWN_WAYS, spread(titles, TITLES)),
        "27 ways, 40 titles": cross(KNOWN_WAYS, spread(titles[5:], 40)),
        "later ways": cross(LATER_WAYS, spread(titles[7:], TITLES)),
        "27 ways, 8 titles of one word": cross(KNOWN_WAYS, spread(single, TITLES)),
        "27 ways, 8 titles in small letters": cross(
            KNOWN_WAYS, [title.lower() for title in spread(titles, TITLES)]
        ),
        "two titles": [
            (way.format(a=one, b=other), [one, other]) for way in PAIR_WAYS for one, other in pairs
        ],
    }
    lows = {"27 ways, 8 titles": 0.98, "later ways": 0.95}
    figures, failed = [], {}
    for what, questions in asked.items():
        if questions:
            missed = [
                question for question, right in questions if not finds(catalogue, question, right)
            ]
            failed[what] = missed
            share = 1 - len(missed) / len(questions)
            figures.append(
                Figure(f"{name}: {what}, {len(questions)} questions", share, low=lows.get(what))
            )
    figures += measure_languages(name, spread(titles, 200))
    questions = [question for question, _ in cross(MADE_UP_WAYS, made_up)]
    wrong = [question for question in questions if keep_relevant(catalogue.search(question, 3))]
    failed["made up"] = wrong
    share = len(wrong) / len(questions)
    figures.append(Figure(f"{name}: made-up titles, {len(questions)} questions", share, high=0.02))
    return figures, failed


def measure_languages(name: str, titles: Sequence[str]) -> list[Figure]:
    """Ask in either language for titles of the other; read it, before the title is found and after.

    Typed ones are in small letters without accents.
    """
    figures = []
    for language, templates in PromptTemplate().questions.items():
        templates = [template.replace("{title}", "{t}") for template in templates]
        asked = cross(templates, titles)
        typed = []
        for question, right in asked:
            typed.append((normalise(question), right))
        for kind, questions in (("as written", asked), ("typed", typed)):
            for what, known in (("title not found", False), ("title found", True)):
                right = 0
                for question, named in questions:
                    right += question_language(question, named if known else ()) == language
                figures.append(
                    Figure(f"{name}: {language}, {kind}, {what}: language", right / len(questions))
                )
    return figures


def finds(catalogue: Catalogue, question: str, titles: Sequence[str]) -> bool:
    """Check whether the relevant records have these titles, as many as there are, first."""
    found = keep_relevant(catalogue.search(question, 3))[: len(titles)]
    keys = {normalise(record["title"]) for record in found}
    return keys == {normalise(title) for title in titles}


def cross(ways: Iterable[str], titles: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Ask for each title in each way."""
    return [(way.format(t=title), [title]) for way, title in itertools.product(ways, titles)]


def spread(titles: Sequence[str], count: int) -> list[str]:
    """Take up to `count` evenly spaced titles."""
    count = min(count, len(titles))
    return [titles[index * len(titles) // count] for index in range(count)]


def take_made_up(rows: Sequence[Row], count: int) -> list[str]:
    """Make titles up that the catalogue does not have, as the examples for training are."""
    records = [Record(uid=uid, title=title, content=content) for uid, title, content in rows]
    known = {normalise(title) for _, title, _ in rows}
    made = invent_titles(records, known, "unseen", 7)
    return [title for title, _ in itertools.islice(made, count)]
