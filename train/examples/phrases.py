"""The words of questions about facts and of their answers, in English and Portuguese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Phrases:
    """One kind of fact in one language.

    `questions` and `yes_no` have {name}; `predicate`, `answer` and `yes_no` have {value}; `what`
    ends the sentence for what a record does not say.
    """

    questions: tuple[str, ...]
    predicate: str
    what: str
    yes_no: str = ""
    pronoun: str = ""

    @property
    def answer(self) -> str:
        """The predicate with its subject, as after "Yes,"."""
        return f"{self.pronoun}{self.predicate}"


def _en(questions: str, predicate: str, what: str, yes_no: str = "") -> Phrases:
    return Phrases(tuple(questions.split("|")), predicate, what, yes_no, "it ")


def _pt(questions: str, predicate: str, what: str, yes_no: str | None = None) -> Phrases:
    asked = f"{{name}} {predicate}?" if yes_no is None else yes_no
    return Phrases(tuple(questions.split("|")), predicate, what, asked)


PHRASES: Mapping[str, Mapping[str, Phrases]] = {
    "weight": {
        "en": _en(
            "How heavy is {name}?|How much does {name} weigh?|What does {name} weigh?"
            "|What is the weight of {name}?",
            "weighs {value}",
            "how heavy it is",
            "Does {name} weigh {value}?",
        ),
        "pt": _pt(
            "Quanto pesa {name}?|Qual é o peso de {name}?|{name}: quanto pesa?",
            "pesa {value}",
            "quanto pesa",
        ),
    },
    "length": {
        "en": _en(
            "How long is {name}?|What is the length of {name}?",
            "is {value} long",
            "how long it is",
            "Is {name} {value} long?",
        ),
        "pt": _pt(
            "Qual é o comprimento de {name}?|Quanto mede de comprimento {name}?",
            "tem {value} de comprimento",
            "qual é o comprimento",
        ),
    },
    "height": {
        "en": _en(
            "How tall is {name}?|How high is {name}?|What is the height of {name}?",
            "is {value} tall",
            "how tall it is",
            "Is {name} {value} tall?",
        ),
        "pt": _pt(
            "Qual é a altura de {name}?|Quanto mede de altura {name}?",
            "tem {value} de altura",
            "qual é a altura",
        ),
    },
    "width": {
        "en": _en(
            "How wide is {name}?|What is the width of {name}?",
            "is {value} wide",
            "how wide it is",
            "Is {name} {value} wide?",
        ),
        "pt": _pt(
            "Qual é a largura de {name}?|Quanto mede de largura {name}?",
            "tem {value} de largura",
            "qual é a largura",
        ),
    },
    "size": {
        "en": _en(
            "What are the dimensions of {name}?|How big is {name}?|What size is {name}?",
            "measures {value}",
            "how big it is",
            "Does {name} measure {value}?",
        ),
        "pt": _pt(
            "Quais são as medidas de {name}?|Qual é o tamanho de {name}?",
            "mede {value}",
            "qual é o tamanho",
        ),
    },
    "capacity": {
        "en": _en(
            "How much does {name} hold?|What is the capacity of {name}?",
            "holds {value}",
            "how much it holds",
            "Does {name} hold {value}?",
        ),
        "pt": _pt(
            "Qual é a capacidade de {name}?|Quanto cabe em {name}?",
            "comporta {value}",
            "quanto cabe",
        ),
    },
    "pages": {
        "en": _en(
            "How many pages does {name} have?|How many pages are in {name}?",
            "has {value} pages",
            "how many pages it has",
            "Does {name} have {value} pages?",
        ),
        "pt": _pt(
            "Quantas páginas tem {name}?|Quantas páginas há em {name}?",
            "tem {value} páginas",
            "quantas páginas tem",
        ),
    },
    "duration": {
        "en": _en(
            "How long does {name} last?|What is the running time of {name}?"
            "|How many minutes does {name} last?",
            "lasts {value} minutes",
            "how long it lasts",
            "Does {name} last {value} minutes?",
        ),
        "pt": _pt(
            "Quanto tempo dura {name}?|Qual é a duração de {name}?",
            "dura {value} minutos",
            "quanto tempo dura",
        ),
    },
    "tracks": {
        "en": _en(
            "How many tracks does {name} have?|How many songs are on {name}?",
            "has {value} tracks",
            "how many tracks it has",
            "Does {name} have {value} tracks?",
        ),
        "pt": _pt(
            "Quantas faixas tem {name}?|Quantas músicas há em {name}?",
            "tem {value} faixas",
            "quantas faixas tem",
        ),
    },
    "year": {
        "en": _en(
            "When did {name} come out?|What year is {name} from?|In which year did {name} co"
            "me out?",
            "came out in {value}",
            "when it came out",
            "Did {name} come out in {value}?",
        ),
        "pt": _pt("Quando saiu {name}?|Em que ano saiu {name}?", "saiu em {value}", "quando saiu"),
    },
    "date": {
        "en": _en(
            "When was {name} released?|What is the release date of {name}?",
            "came out on {value}",
            "when it came out",
            "Did {name} come out on {value}?",
        ),
        "pt": _pt("Quando saiu {name}?", "saiu em {value}", "quando saiu"),
    },
    "genre": {
        "en": _en(
            "What genre is {name}?|What kind of music is {name}?",
            "is in the genre {value}",
            "what genre it is",
            "Is {name} in the genre {value}?",
        ),
        "pt": _pt("Qual é o gênero de {name}?", "é do gênero {value}", "qual é o gênero"),
    },
    "filmed": {
        "en": _en(
            "When was {name} made?|In which year was {name} made?",
            "was made in {value}",
            "when it was made",
            "Was {name} made in {value}?",
        ),
        "pt": _pt(
            "De que ano é {name}?|Em que ano foi feito {name}?", "é de {value}", "de que ano é"
        ),
    },
    "recorded": {
        "en": _en(
            "When was {name} recorded?|In which year was {name} recorded?",
            "was recorded in {value}",
            "when it was recorded",
            "Was {name} recorded in {value}?",
        ),
        "pt": _pt(
            "Quando foi gravado {name}?|Em que ano foi gravado {name}?",
            "foi gravado em {value}",
            "quando foi gravado",
        ),
    },
    "author": {
        "en": _en(
            "Who wrote {name}?|Who is the author of {name}?|Who is {name} by?",
            "is by {value}",
            "who wrote it",
            "Is {name} by {value}?",
        ),
        "pt": _pt(
            "Quem escreveu {name}?|Quem é o autor de {name}?|De quem é {name}?",
            "é de {value}",
            "quem escreveu",
        ),
    },
    "director": {
        "en": _en(
            "Who directed {name}?|Who is the director of {name}?",
            "was directed by {value}",
            "who directed it",
            "Was {name} directed by {value}?",
        ),
        "pt": _pt(
            "Quem dirigiu {name}?|De quem é a direção de {name}?",
            "tem direção de {value}",
            "quem dirigiu",
        ),
    },
    "producer": {
        "en": _en(
            "Who produced {name}?|Who is the producer of {name}?",
            "was produced by {value}",
            "who produced it",
            "Was {name} produced by {value}?",
        ),
        "pt": _pt("Quem produziu {name}?", "tem produção de {value}", "quem produziu"),
    },
    "publisher": {
        "en": _en(
            "Who published {name}?|Who is the publisher of {name}?",
            "was published by {value}",
            "who published it",
            "Was {name} published by {value}?",
        ),
        "pt": _pt("Qual é a editora de {name}?", "é da editora {value}", "qual é a editora"),
    },
    "label": {
        "en": _en(
            "Which label is {name} on?|Who released {name}?",
            "is on the label {value}",
            "which label it is on",
            "Is {name} on the label {value}?",
        ),
        "pt": _pt("De que selo é {name}?", "é do selo {value}", "de que selo é"),
    },
    "age_range": {
        "en": _en(
            "What age is {name} for?|What ages is {name} for?|How old should a child be for "
            "{name}?",
            "is for ages {value}",
            "what age it is for",
            "Is {name} for ages {value}?",
        ),
        "pt": _pt(
            "Para que idade é {name}?|Qual é a idade para {name}?",
            "é para crianças de {value}",
            "para que idade é",
        ),
    },
    "age_from": {
        "en": _en(
            "What age is {name} for?|From what age is {name} suitable?",
            "is suitable from {value}",
            "what age it is for",
            "Is {name} suitable from {value}?",
        ),
        "pt": _pt(
            "Para que idade é {name}?|A partir de que idade serve {name}?",
            "serve a partir de {value}",
            "para que idade é",
        ),
    },
    "material": {
        "en": _en(
            "What is {name} made of?|What material is {name}?|Which material is {name} made from?",
            "is made of {value}",
            "what it is made of",
            "Is {name} made of {value}?",
        ),
        "pt": _pt(
            "De que material é {name}?|De que é feito {name}?|Qual é o material de {name}?",
            "é de {value}",
            "de que é feito",
        ),
    },
    "colour": {
        "en": _en(
            "What colour is {name}?|Which colour is {name}?|What is the colour of {name}?",
            "is {value}",
            "what colour it is",
            "Is {name} {value}?",
        ),
        "pt": _pt("De que cor é {name}?|Qual é a cor de {name}?", "é {value}", "qual é a cor"),
    },
    "made_in": {
        "en": _en(
            "Where is {name} made?|Where was {name} made?|Where does {name} come from?",
            "is made in {value}",
            "where it is made",
            "Is {name} made in {value}?",
        ),
        "pt": _pt("Onde é feito {name}?|De onde vem {name}?", "vem de {value}", "onde é feito"),
    },
    "guarantee": {
        "en": _en(
            "How long is the guarantee on {name}?|What guarantee does {name} have?"
            "|How long is {name} guaranteed?",
            "has a guarantee of {value}",
            "what guarantee it has",
            "Does {name} have a guarantee of {value}?",
        ),
        "pt": _pt(
            "Qual é a garantia de {name}?|Quanto tempo de garantia tem {name}?",
            "tem garantia de {value}",
            "qual é a garantia",
        ),
    },
    "contents": {
        "en": _en(
            "What comes with {name}?|What is in the box with {name}?|What is included with {name}?",
            "comes with {value}",
            "what comes with it",
        ),
        "pt": _pt(
            "O que vem com {name}?|O que acompanha {name}?",
            "vem com {value}",
            "o que vem junto",
            "",
        ),
    },
    "price": {
        "en": _en(
            "How much is {name}?|What does {name} cost?|What is the price of {name}?",
            "costs {value}",
            "what it costs",
        ),
        "pt": _pt(
            "Quanto custa {name}?|Qual é o preço de {name}?", "custa {value}", "quanto custa", ""
        ),
    },
}
# {kind: {language: (of the larger amount, of the smaller)}}
COMPARED: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "weight": {"en": ("is heavier", "is lighter"), "pt": ("pesa mais", "pesa menos")},
    "length": {"en": ("is longer", "is shorter"), "pt": ("é mais comprido", "é mais curto")},
    "height": {"en": ("is taller", "is less tall"), "pt": ("é mais alto", "é mais baixo")},
    "width": {"en": ("is wider", "is narrower"), "pt": ("é mais largo", "é mais estreito")},
    "capacity": {"en": ("holds more", "holds less"), "pt": ("comporta mais", "comporta menos")},
    "pages": {
        "en": ("has more pages", "has fewer pages"),
        "pt": ("tem mais páginas", "tem menos páginas"),
    },
    "duration": {"en": ("lasts longer", "lasts less time"), "pt": ("dura mais", "dura menos")},
    "tracks": {
        "en": ("has more tracks", "has fewer tracks"),
        "pt": ("tem mais faixas", "tem menos faixas"),
    },
    "year": {"en": ("is newer", "is older"), "pt": ("é mais novo", "é mais antigo")},
}
SENTENCES: Mapping[str, Mapping[str, Any]] = {
    "en": {
        "yes": "Yes",
        "no": "No",
        "which": ("Which of these {predicate}?", "Which one {predicate}?"),
        "compare": (
            "Which {compared}, {first} or {second}?",
            "{first} or {second}: which {compared}?",
            "Which one {compared}: {first} or {second}?",
        ),
        "compared": "{name} {compared}: {value} against {other}.",
    },
    "pt": {
        "yes": "Sim",
        "no": "Não",
        "which": ("Qual destes {predicate}?", "Qual deles {predicate}?"),
        "compare": (
            "Qual {compared}, {first} ou {second}?",
            "{first} ou {second}: qual {compared}?",
            "O que {compared}: {first} ou {second}?",
        ),
        "compared": "{name} {compared}: {value} contra {other}.",
    },
}
