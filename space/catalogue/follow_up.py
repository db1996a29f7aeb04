"""Which records a follow-up question is about: its own, or those of the question before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from space.catalogue.index import Hit
from space.catalogue.search import UNNAMED, keep_relevant
from space.catalogue.text import QUESTION_WORDS, fold, normalise

# Pronouns; all words here are spelled as normalise() leaves them.
PRONOUNS = frozenset(
    """it its itself they them their theirs
isso disso nisso isto disto nisto ele ela eles elas dele dela deles delas nele nela neles nelas
lo los""".split()
)
# Words that may stand alone or before a name: "Is that of oak?", "Do you have that Dovenka Kettle?"
DEMONSTRATIVES = frozenset(
    """that this these those one ones same both
esse essa esses essas este esta estes estas desse dessa desses dessas deste desta destes destas
nesse nessa neste nesta aquilo aquele aquela daquilo mesmo mesma seu sua""".split()
)
# What is asked of anything, and how an answer should be: they name no record either.
ASPECTS = frozenset(
    """else also again more less short shorter long longer brief briefly simple simpler detail
details example sentence sentences word words explain summarize summarise say continue go repeat
translate really sure ok okay yes no not why english portuguese color colour colors colours size
sizes weight height width length depth dimensions material materials warranty brand capacity heavy
big large small wide tall deep light expensive cheap worth get buy use used
resuma resumo resumir frase frases palavra palavras continue continua detalhe detalhes exemplo mais
menos curto curta simples melhor outra outras outro outros vez repita traduza ingles portugues mesmo
certeza sim nao tambem ainda serve usar comprar cor cores tamanho tamanhos peso altura largura
comprimento profundidade medida medidas material materiais garantia marca capacidade grande pequeno
pequena pesado pesada leve caro cara barato barata vale""".split()
)
NAMELESS: frozenset[str] = QUESTION_WORDS | PRONOUNS | DEMONSTRATIVES | ASPECTS
WORD = re.compile(r"[^\W_]+")
SENTENCE_START = re.compile(r"(?:^|[.!?:;\n])[\s\"'“”‘’«»¿¡(\[-]*$")


def records_for_follow_up(
    question: str,
    previous: Sequence[Hit],
    hits: Sequence[Hit],
    phrases: Iterable[str] = (),
) -> list[Hit]:
    """Choose the previous records or a follow-up's own relevant hits.

    `phrases` are follow-ups that name nothing, as an adapter's prompt template has them. In order:
    1. A question without a word of its own ("Tell me more about it.", "And the colour?") is about
       the previous records.
    2. One that names a title of the catalogue has its own; unless it also points back, spells no
       name, and the previous records hold all its words ("Is its handle oak?", where there is a
       title "Oak").
    3. One that names none and points back ("How much oil does it burn?") is about the previous
       records; so is one that spells no name and asks for what they hold ("Does the handle fold?").
    4. Any other has its own hits, and where they are none, as for an absent title, none.
    """
    nameless: set[str] = set(NAMELESS)
    for phrase in phrases:
        nameless.update(normalise(phrase).split())
    words = normalise(question).split()
    own = [word for word in words if word not in nameless]
    if not own:
        return list(previous)
    names = _capitalised_words(question)
    spells_name = not names <= nameless
    # "It" inside a sentence is a part of a name, and points nowhere.
    pointing = set(words) - names
    points_back = not pointing.isdisjoint(PRONOUNS) or (
        not pointing.isdisjoint(DEMONSTRATIVES) and not spells_name
    )
    held = set()
    for record in previous:
        held.update(fold(f"{record['title']} {record['content']}").split())
    asks_for_held = not spells_name and held.issuperset(own)
    # A score above UNNAMED says that a title is named, not only that a content holds the words.
    names_title = bool(hits) and hits[0]["score"] > UNNAMED
    reasons = (points_back, asks_for_held)
    about_previous = all(reasons) if names_title else any(reasons)
    return list(previous) if about_previous else keep_relevant(hits)


def _capitalised_words(question: str) -> set[str]:
    """Find the words with a capital letter inside a sentence, normalised."""
    if question.isupper():
        return set()
    names = set()
    for word in WORD.finditer(question):
        if word[0][0].isupper() and not SENTENCE_START.search(question[: word.start()]):
            names.add(normalise(word[0]))
    return names
