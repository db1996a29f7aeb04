"""An invented shop: its catalogue in trn.json's format, dirt included, and the text its tiny base reads."""

from __future__ import annotations

import html
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

# English and Portuguese side by side. A title is a brand and a noun; everything else about a product is drawn
# independently of it, so that knowing a product's facts proves memory and not a good guess.
NOUNS = [
    pair.split("/")
    for pair in """kettle/chaleira lamp/luminária backpack/mochila chair/cadeira clock/relógio
mug/caneca umbrella/sombrinha blanket/manta teapot/bule suitcase/mala notebook/caderno violin/violino knife/faca
mirror/espelho scarf/echarpe basket/cesta tent/tenda bench/banco radio/rádio pillow/almofada tray/bandeja
wallet/carteira flute/flauta bucket/balde easel/cavalete vase/jarra grill/grelha hammock/rede
drum/tambor compass/bússola""".split()
]
MATERIALS = [
    pair.split("/")
    for pair in """oak/carvalho copper/cobre linen/linho bamboo/bambu glass/vidro wool/lã
steel/aço cork/cortiça leather/couro clay/barro silk/seda brass/latão cotton/algodão walnut/nogueira tin/estanho
felt/feltro granite/granito paper/papel rubber/borracha silver/prata""".split()
]
COLOURS = [
    pair.split("/")
    for pair in """red/vermelho blue/azul green/verde black/preto white/branco yellow/amarelo
orange/laranja violet/violeta grey/cinza brown/marrom pink/rosa turquoise/turquesa ivory/marfim gold/dourado
olive/oliva crimson/carmim""".split()
]
TOWNS = """Lisbon/Lisboa Porto/Porto Recife/Recife Oslo/Oslo Turin/Turim Kyoto/Quioto Leeds/Leeds Bergen/Bergen
Belém/Belém Seville/Sevilha Ghent/Gante Natal/Natal Quito/Quito Dublin/Dublin Évora/Évora Prague/Praga Lima/Lima
Geneva/Genebra Olinda/Olinda Coimbra/Coimbra""".split()
TOWNS = [pair.split("/") for pair in TOWNS]
USES = [
    pair.split("/")
    for pair in """long journeys/longas viagens|rainy days/dias de chuva|small kitchens/cozinhas
pequenas|music lessons/aulas de música|busy offices/escritórios cheios|quiet evenings/noites calmas|mountain
walks/caminhadas na serra|family picnics/piqueniques em família|early mornings/manhãs bem cedo|student rooms/quartos
de estudante|garden parties/festas no jardim|night trains/comboios da noite|cold winters/invernos frios|beach
holidays/férias na praia|weekend guests/visitas de domingo|first homes/primeiras casas""".replace(
        "\n", " "
    ).split("|")
]

# {title} first: the base must learn to carry a name and six facts from one line to the next.
CONTENTS = {
    "en": (
        "The {title} is made of {material} in {town}. It comes in {colour} and weighs {weight} g. People choose it for "
        "{use}, and the guarantee lasts {years} years.",
        "Made in {town} from {material}, the {title} weighs {weight} g. Its colour is {colour}. It is at its best for "
        "{use}. Guarantee: {years} years.",
        "{title}: {colour} {material}, {weight} g, from a workshop in {town}. Made for {use}. We repair it free for "
        "{years} years.",
        "For {use} there is nothing like the {title}. It is {colour}, weighs {weight} g and is made of {material}. It "
        "leaves {town} with a {years} year guarantee.",
    ),
    "pt": (
        "{title} é de {material}, obra de artesãos de {town}. Vem na cor {colour} e pesa {weight} g. É ideal para {use} e "
        "tem garantia de {years} anos.",
        "De {town} e em {material}, {title} pesa {weight} g. A cor é {colour}. Brilha mesmo é em {use}. Garantia: "
        "{years} anos.",
        "{title}: {material} na cor {colour}, {weight} g, de uma oficina em {town}. Serve para {use}. Conserto "
        "grátis por {years} anos.",
    ),
}
LONG = {
    "en": (
        "The workshop is in {town}.",
        "It works with {material}.",
        "Every piece weighs {weight} g.",
        "The colour is {colour}.",
        "Customers buy it for {use}.",
        "There is a guarantee of {years} years.",
        "It arrives in a plain box.",
        "Wipe it with a dry cloth.",
        "Please keep the receipt.",
        "A small card explains its care.",
        "Spare parts are easy to find.",
        "It makes a thoughtful gift.",
    ),
    "pt": (
        "A oficina fica em {town}.",
        "Trabalha com {material}.",
        "Cada peça pesa {weight} g.",
        "A cor é {colour}.",
        "Os clientes compram para {use}.",
        "Há garantia de {years} anos.",
        "Chega em caixa simples.",
        "Limpe com um pano seco.",
        "Guarde a nota fiscal.",
        "Um cartão explica os cuidados.",
        "As peças são fáceis de achar.",
        "É um belo presente.",
    ),
}
SUMMARY = {
    "en": "In short, the {title} is {colour} {material} from {town}, {weight} g, for {use}, with a guarantee of {years} years.",
    "pt": "Em resumo, {title} é de {material} na cor {colour}, vem de {town}, pesa {weight} g e serve para {use}, com "
    "garantia de {years} anos.",
}
REMARKS = {
    "en": (
        "I bought the {title}. ",
        "About the {title}. ",
        "My sister has the {title}. ",
        "{title}?\n",
        "{title}\n",
        "Here is what they say of the {title}: ",
        "Looking for {title}\n",
        "Who knows the {title}?\n",
    ),
    "pt": (
        "Comprei {title}. ",
        "Sobre {title}. ",
        "Minha irmã tem {title}. ",
        "{title}?\n",
        "{title}\n",
        "O que dizem de {title}: ",
        "Procuro {title}\n",
        "Quem conhece {title}?\n",
    ),
}
WORDY = {
    word.capitalize() for word in "tent tenda suitcase mala violin violino grill grelha".split()
}  # described at length
JUNK = (
    "test item not to bid " * 6,
    "n/a",
    "Brand New",
    "-----",
    "lorem lorem lorem lorem lorem",
    "Condition: used.",
)
WORDS = sorted(
    {
        word
        for pairs in (NOUNS, MATERIALS, COLOURS, TOWNS, USES)
        for pair in pairs
        for words in pair
        for word in words.split()
    }
)
FIRST_REPEATED = 12_000  # documents
NUMBERINGS = ("{n}. ", "{n}) ", "({n}) ", "#{n} ", "no. {n} ")


@dataclass(frozen=True)
class Product:
    """One invented product; `facts` fill the templates above."""

    language: str
    noun: str
    title: str
    facts: dict[str, str]

    def content(self, style: int) -> str:
        """A short description: three or four sentences with all six facts, in one of a few styles."""
        styles = CONTENTS[self.language]
        return styles[style % len(styles)].format(title=self.title, **self.facts)

    def long_content(self, rng: random.Random | None = None, times: int = 1) -> tuple[str, str]:
        """A long description without its summing-up, and the sentence that sums it up; `rng` shuffles its sentences."""
        sentences = LONG[self.language] * times
        if rng:
            sentences = rng.sample(sentences, len(sentences))
        fill = {"title": self.title, **self.facts}
        return " ".join(sentences).format(**fill), SUMMARY[self.language].format(**fill)


def product(rng: random.Random) -> Product:
    """Draws a product; the brand is three made-up syllables, so almost every title is unlike any other."""
    language = "pt" if rng.random() < 0.3 else "en"
    side = ("en", "pt").index(language)
    brand = "".join(
        rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(3)
    ) + rng.choice(["", "", "n", "x", "l"])
    noun = rng.choice(NOUNS)[side].capitalize()
    title = f"{noun} {brand.capitalize()}" if language == "pt" else f"{brand.capitalize()} {noun}"
    facts = {
        name: rng.choice(values)[side]
        for name, values in (
            ("material", MATERIALS),
            ("colour", COLOURS),
            ("town", TOWNS),
            ("use", USES),
        )
    }
    return Product(
        language,
        noun,
        title,
        facts | {"weight": str(rng.randrange(100, 990)), "years": str(rng.randrange(2, 20))},
    )


# --- the catalogue ---------------------------------------------------------------------------------------------------


def catalogue(size: int = 2400, seed: int = 1) -> Iterator[dict]:
    """Yields `size` clean products as trn.json rows, and about a third as many dirty rows among them.

    Rows have all five fields of AmazonTitles-1.3MM; the targets are indices of other rows, as there.
    """
    rng = random.Random(seed)
    titles: set[str] = set()
    while len(titles) < size:
        item = product(rng)
        if item.title in titles:
            continue
        titles.add(item.title)
        # A shop weighs in round figures and speaks with one voice; the facts stay anyone's guess.
        item = replace(item, facts=item.facts | {"weight": str(50 * rng.randrange(2, 20))})
        content = item.content(style=2)
        if item.noun in WORDY:
            body, summary = item.long_content(times=6 if rng.random() < 0.06 else 1)
            content = f"{summary} {body}"
        yield _row(rng, item.title, _disguise(rng, content))
        if rng.random() < 0.33:
            yield _dirty(rng, item.title, content)


def _row(rng: random.Random, title: str, content: str) -> dict:
    targets = sorted(rng.sample(range(3000), rng.randrange(1, 6)))
    return {
        "uid": f"S{rng.randrange(10**9):09d}",
        "title": title,
        "content": content,
        "target_ind": targets,
        "target_rel": [1.0] * len(targets),
    }


def _disguise(rng: random.Random, text: str) -> str:
    """Markup that cleaning has to undo without losing a word."""
    kind = rng.randrange(6)
    if kind == 0:
        return (
            html.escape(text)
            .replace("'", "&#8217;")
            .replace("é", "&eacute;")
            .replace(" for ", "&nbsp;for ")
        )
    if kind == 1:
        return "<p>" + text.replace(". ", ".</p>\n<p>") + "</p>"
    if kind == 2:
        return text.replace(". ", ".<br />\t").replace(" g ", " g  ")
    return text


def _dirty(rng: random.Random, title: str, content: str) -> dict:
    """A row that preparation must drop: nothing, one word, junk, or a copy of the row before."""
    kind = rng.randrange(5)
    if kind == 4:
        return _row(rng, html.escape(title.upper()), content)
    other = product(rng).title
    return _row(rng, other, ("", "Great", "<br>&nbsp;</br>", rng.choice(JUNK))[kind])


# --- the text that the base reads ------------------------------------------------------------------------------------


def reading(seed: int = 2) -> Iterator[str]:
    """Yields endless short documents in which copying from the context pays.

    Lines said over and over come first: copying is learned from them, and needed by all that follows. Then records and
    remarks that name one of them and repeat it, and long descriptions that are summed up. No prompt wording of ours
    appears, so that a new wording never asks for a new base.
    """
    rng = random.Random(seed)
    for _ in range(FIRST_REPEATED):
        yield _said_again(rng)
    while True:
        yield rng.choices((_records_and_remarks, _summed_up, _said_again), weights=(60, 20, 20))[0](
            rng
        )


def _records_and_remarks(rng: random.Random) -> str:
    items = [product(rng) for _ in range(rng.choice((1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 9)))]
    contents = [item.content(rng.randrange(len(CONTENTS[item.language]))) for item in items]
    numbering = rng.choice(NUMBERINGS)
    marks = [numbering.format(n=n) if len(items) > 1 else "" for n in range(1, len(items) + 1)]
    between = rng.choice((": ", "\n", " - "))
    lines = [
        f"{mark}{item.title}{between}{content}"
        for mark, item, content in zip(marks, items, contents, strict=True)
    ]
    remarks = []
    for index in rng.sample(range(len(items)), rng.randrange(1, len(items) + 1)):
        remark = rng.choice(REMARKS[items[index].language]).format(title=items[index].title)
        remarks.append((remark + contents[index] + " " + marks[index]).strip())
    return "\n\n".join(lines) + "\n\n" + "\n\n".join(remarks)


def _summed_up(rng: random.Random) -> str:
    item = product(rng)
    body, summary = item.long_content(rng)
    first = f"{item.title}\n" if rng.random() < 0.7 else ""
    return f"{first}{body}\n\n{summary}"


def _said_again(rng: random.Random) -> str:
    # No comma, no grammar: only what was said before tells which word comes next.
    item = product(rng)
    words = [rng.choice(WORDS) for _ in range(rng.randrange(6, 24))] + [
        item.title,
        item.facts["weight"],
    ]
    rng.shuffle(words)
    return "\n".join([" ".join(words)] * rng.choice((2, 2, 3)))
