"""Which records a follow-up question is about: its own, or those of the question before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from space.catalogue.scoring import TOLD, relevant
from space.catalogue.text import QUESTION_WORDS, normalise, spelled

# Words that stand for what was spoken of; spelled as normalise() leaves them.
POINTING = frozenset(
    """it its itself they them their theirs
isso disso nisso isto disto nisto ele ela eles elas dele dela deles delas nele nela neles nelas lo los
""".split()
)
# Words that may do so, or may come before a name: "Is that of oak?", "Do you have that Dovenka Kettle?"
MAYBE_POINTING = frozenset(
    """that this these those one ones same both
esse essa esses essas este esta estes estas desse dessa desses dessas deste desta destes destas nesse nessa neste nesta
aquilo aquele aquela daquilo mesmo mesma seu sua
""".split()
)
# What is asked of anything, and how an answer should be: they name no record either.
ASPECTS = frozenset(
    """else also again more less short shorter long longer brief briefly simple simpler detail details example
sentence sentences word words explain summarize summarise say continue go repeat translate really sure ok okay yes no not why
english portuguese color colour colors colours size sizes weight height width length depth dimensions material materials
warranty brand capacity heavy big large small wide tall deep light expensive cheap worth get buy use used
resuma resumo resumir frase frases palavra palavras continue continua detalhe detalhes exemplo mais menos curto curta simples
melhor outra outras outro outros vez repita traduza ingles portugues mesmo certeza sim nao tambem ainda serve usar comprar
cor cores tamanho tamanhos peso altura largura comprimento profundidade medida medidas material materiais garantia marca
capacidade grande pequeno pequena pesado pesada leve caro cara barato barata vale
""".split()
)
WORD = re.compile(r"[^\W_]+")
SENTENCE_START = re.compile(r"(?:^|[.!?:;\n])[\s\"'“”‘’«»¿¡(\[-]*$")


def meant(
    question: str, before: Sequence[Mapping], found: Sequence[dict], phrases: Iterable[str] = ()
) -> list[Mapping]:
    """Returns the records to answer a follow-up from: those of the question `before`, or the relevant ones of what it `found`.

    `phrases` are follow-ups that name nothing, as an adapter's wording has them. In this order:
    1. A question without a word of its own ("Tell me more about it.", "And the colour?") is about the ones before.
    2. One that names a title of the catalogue has its own; unless it also points back, spells no name, and the ones before hold
       all its words ("Is its handle oak?", where there is a title "Oak").
    3. One that names none and points back ("How much oil does it burn?") is about the ones before; so is one that spells no
       name and asks for what they hold ("Does the handle fold?").
    4. Any other has what it found, and where that is nothing, as for a title that is absent, none.
    """
    no_names = (
        QUESTION_WORDS
        | POINTING
        | MAYBE_POINTING
        | ASPECTS
        | set(chain.from_iterable(normalise(phrase).split() for phrase in phrases))
    )
    own = [word for word in normalise(question).split() if word not in no_names]
    if not own:
        return list(before)
    spells_name = bool(_names(question) - no_names)
    surely, maybe = _points(question)
    points = surely or (maybe and not spells_name)
    told = set(
        chain.from_iterable(
            spelled(f"{record['title']} {record['content']}").split() for record in before
        )
    )
    held = not spells_name and told.issuperset(own)
    # Above TOLD a score says that a title is named, and not only that a content holds the words.
    if found and found[0]["score"] > TOLD:
        return list(before) if points and held else relevant(found)
    return list(before) if points or held else relevant(found)


def _names(question: str) -> set[str]:
    """Returns the words, as normalise() spells them, that are written as names are: a capital letter inside a sentence."""
    if question.isupper():
        return set()
    return {
        normalise(word[0])
        for word in WORD.finditer(question)
        if word[0][0].isupper() and not SENTENCE_START.search(question[: word.start()])
    }


def _points(question: str) -> tuple[bool, bool]:
    """Returns whether a question surely points back, and whether it may; "It" inside a sentence is a part of a name."""
    words = set(normalise(question).split()) - _names(question)
    return bool(words & POINTING), bool(words & MAYBE_POINTING)
