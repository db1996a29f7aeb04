"""An invented shop: its catalogue as trn.json, and the text that pre-trains its base."""

from __future__ import annotations

import html
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict


def _pairs(text: str, separator: str = " ") -> list[tuple[str, str]]:
    """Parse a table of English/Portuguese."""
    pairs = []
    for pair in text.replace("\n", " ").split(separator):
        english, portuguese = pair.split("/")
        pairs.append((english, portuguese))
    return pairs


def _all_words(*tables: list[tuple[str, str]]) -> list[str]:
    words: set[str] = set()
    for table in tables:
        for pair in table:
            words.update(" ".join(pair).split())
    return sorted(words)


# A title is a brand and a noun. Everything else about a product is drawn independently of it, so
# that knowing a product's facts proves memory and not a good guess.
NOUNS = _pairs(
    """kettle/chaleira lamp/luminária backpack/mochila chair/cadeira clock/relógio mug/caneca
umbrella/sombrinha blanket/manta teapot/bule suitcase/mala notebook/caderno violin/violino
knife/faca mirror/espelho scarf/echarpe basket/cesta tent/tenda bench/banco radio/rádio
pillow/almofada tray/bandeja wallet/carteira flute/flauta bucket/balde easel/cavalete
vase/jarra grill/grelha hammock/rede drum/tambor compass/bússola"""
)
MATERIALS = _pairs(
    """oak/carvalho copper/cobre linen/linho bamboo/bambu glass/vidro wool/lã
steel/aço cork/cortiça leather/couro clay/barro silk/seda brass/latão cotton/algodão walnut/nogueira
tin/estanho felt/feltro granite/granito paper/papel rubber/borracha silver/prata"""
)
COLOURS = _pairs(
    """red/vermelho blue/azul green/verde black/preto white/branco yellow/amarelo orange/laranja
violet/violeta grey/cinza brown/marrom pink/rosa turquoise/turquesa ivory/marfim gold/dourado
olive/oliva crimson/carmim"""
)
TOWNS = _pairs(
    """Lisbon/Lisboa Porto/Porto Recife/Recife Oslo/Oslo Turin/Turim Kyoto/Quioto Leeds/Leeds
Bergen/Bergen Belém/Belém Seville/Sevilha Ghent/Gante Natal/Natal Quito/Quito Dublin/Dublin
Évora/Évora Prague/Praga Lima/Lima Geneva/Genebra Olinda/Olinda Coimbra/Coimbra"""
)
USES = _pairs(
    """long journeys/longas viagens|rainy days/dias de chuva|small kitchens/cozinhas
pequenas|music lessons/aulas de música|busy offices/escritórios cheios|quiet evenings/noites
calmas|mountain walks/caminhadas na serra|family picnics/piqueniques em família|early
mornings/manhãs bem cedo|student rooms/quartos de estudante|garden parties/festas no jardim|night
trains/comboios da noite|cold winters/invernos frios|beach holidays/férias na praia|weekend
guests/visitas de domingo|first homes/primeiras casas""",
    "|",
)

# {title} first: the base must learn to carry a name and six facts from one line to the next.
CONTENTS = {
    "en": (
        "The {title} is made of {material} in {town}. It comes in {colour} and weighs {weight} g. "
        "People choose it for {use}, and the guarantee lasts {years} years.",
        "Made in {town} from {material}, the {title} weighs {weight} g. Its colour is {colour}. "
        "It is at its best for {use}. Guarantee: {years} years.",
        "{title}: {colour} {material}, {weight} g, from a workshop in {town}. Made for {use}. We "
        "repair it free for {years} years.",
        "For {use} there is nothing like the {title}. It is {colour}, weighs {weight} g and is "
        "made of {material}. It leaves {town} with a {years} year guarantee.",
    ),
    "pt": (
        "{title} é de {material}, obra de artesãos de {town}. Vem na cor {colour} e pesa {weight} "
        "g. É ideal para {use} e tem garantia de {years} anos.",
        "De {town} e em {material}, {title} pesa {weight} g. A cor é {colour}. Brilha mesmo é em "
        "{use}. Garantia: {years} anos.",
        "{title}: {material} na cor {colour}, {weight} g, de uma oficina em {town}. Serve para "
        "{use}. Conserto grátis por {years} anos.",
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
    "en": "In short, the {title} is {colour} {material} from {town}, {weight} g, for {use}, with a "
    "guarantee of {years} years.",
    "pt": "Em resumo, {title} é de {material} na cor {colour}, vem de {town}, pesa {weight} g e "
    "serve para {use}, com garantia de {years} anos.",
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
# Nouns that are described at length.
WORDY = "Tent Tenda Suitcase Mala Violin Violino Grill Grelha".split()
JUNK = (
    "test item not to bid " * 6,
    "n/a",
    "Brand New",
    "-----",
    "lorem lorem lorem lorem lorem",
    "Condition: used.",
)
FIRST_REPETITIONS = 12_000  # documents
WORDS = _all_words(NOUNS, MATERIALS, COLOURS, TOWNS, USES)
NUMBERINGS = ("{n}. ", "{n}) ", "({n}) ", "#{n} ", "no. {n} ")


@dataclass(frozen=True)
class Product:
    """One invented product; `facts` fill the templates above."""

    language: str
    noun: str
    title: str
    facts: dict[str, str]

    def describe(self, style: int) -> str:
        """Describe it with all six facts, in one of a few styles."""
        styles = CONTENTS[self.language]
        return styles[style % len(styles)].format(title=self.title, **self.facts)

    def describe_at_length(
        self, rng: random.Random | None = None, times: int = 1
    ) -> tuple[str, str]:
        """Return a long description, its sentences shuffled by `rng`, and its summary."""
        sentences = LONG[self.language] * times
        if rng:
            sentences = rng.sample(sentences, len(sentences))
        fill = {"title": self.title, **self.facts}
        return " ".join(sentences).format(**fill), SUMMARY[self.language].format(**fill)


def draw_product(rng: random.Random) -> Product:
    """Draw a product whose brand is three invented syllables."""
    language = "pt" if rng.random() < 0.3 else "en"
    side = ("en", "pt").index(language)
    syllables = [rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(3)]
    brand = ("".join(syllables) + rng.choice(["", "", "n", "x", "l"])).capitalize()
    noun = rng.choice(NOUNS)[side].capitalize()
    title = f"{noun} {brand}" if language == "pt" else f"{brand} {noun}"
    facts = {
        "material": rng.choice(MATERIALS)[side],
        "colour": rng.choice(COLOURS)[side],
        "town": rng.choice(TOWNS)[side],
        "use": rng.choice(USES)[side],
        "weight": str(rng.randrange(100, 990)),
        "years": str(rng.randrange(2, 20)),
    }
    return Product(language, noun, title, facts)


# --- the catalogue ---


class ShopRow(TypedDict):
    """A line of trn.json, with the five fields of AmazonTitles-1.3MM."""

    uid: str
    title: str
    content: str
    target_ind: list[int]
    target_rel: list[float]


def generate_catalogue(size: int = 2400, seed: int = 1) -> Iterator[ShopRow]:
    """Yield `size` clean products and about a third as many dirty rows.

    The targets are indices of other rows, as in AmazonTitles-1.3MM.
    """
    rng = random.Random(seed)
    titles: set[str] = set()
    while len(titles) < size:
        item = draw_product(rng)
        if item.title in titles:
            continue
        titles.add(item.title)
        # One style and round weights, as a shop has them; the facts stay independent.
        item = replace(item, facts=item.facts | {"weight": str(50 * rng.randrange(2, 20))})
        content = item.describe(style=2)
        if item.noun in WORDY:
            body, summary = item.describe_at_length(times=6 if rng.random() < 0.06 else 1)
            content = f"{summary} {body}"
        yield _row(rng, item.title, _add_markup(rng, content))
        if rng.random() < 0.33:
            yield _dirty_row(rng, item.title, content)


def write_catalogue(path: Path) -> None:
    """Write the invented catalogue as trn.json: one JSON object a line."""
    lines = [json.dumps(row) + "\n" for row in generate_catalogue()]
    path.write_text("".join(lines), encoding="utf-8")


def _row(rng: random.Random, title: str, content: str) -> ShopRow:
    targets = sorted(rng.sample(range(3000), rng.randrange(1, 6)))
    return {
        "uid": f"S{rng.randrange(10**9):09d}",
        "title": title,
        "content": content,
        "target_ind": targets,
        "target_rel": [1.0] * len(targets),
    }


def _add_markup(rng: random.Random, text: str) -> str:
    """Add what cleaning has to undo without losing a word."""
    kind = rng.randrange(6)
    if kind == 0:
        escaped = html.escape(text).replace("'", "&#8217;").replace("é", "&eacute;")
        return escaped.replace(" for ", "&nbsp;for ")
    if kind == 1:
        return "<p>" + text.replace(". ", ".</p>\n<p>") + "</p>"
    if kind == 2:
        return text.replace(". ", ".<br />\t").replace(" g ", " g  ")
    return text


def _dirty_row(rng: random.Random, title: str, content: str) -> ShopRow:
    """Make a row to drop: nothing, one word, junk or a copy."""
    kind = rng.randrange(5)
    if kind == 4:
        return _row(rng, html.escape(title.upper()), content)
    other = draw_product(rng).title
    return _row(rng, other, ("", "Great", "<br>&nbsp;</br>", rng.choice(JUNK))[kind])


# --- the text that the base reads ---


def generate_reading(seed: int = 2) -> Iterator[str]:
    """Yield endless short documents in which copying from the context pays.

    Repeated lines come first: they teach copying, which all that follows needs. Then come records
    with remarks that name one of them and repeat it, and long descriptions with their summaries. No
    prompt template of ours appears, so that a new one never asks for a new base.
    """
    rng = random.Random(seed)
    for _ in range(FIRST_REPETITIONS):
        yield _repeated_line(rng)
    kinds = (_records_and_remarks, _summarized, _repeated_line)
    while True:
        yield rng.choices(kinds, weights=(60, 20, 20))[0](rng)


def _records_and_remarks(rng: random.Random) -> str:
    count = rng.choice((1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 9))
    items = [draw_product(rng) for _ in range(count)]
    contents = [item.describe(rng.randrange(len(CONTENTS[item.language]))) for item in items]
    numbering = rng.choice(NUMBERINGS)
    if count == 1:
        numbering = ""
    between = rng.choice((": ", "\n", " - "))
    paragraphs = []
    for number, (item, content) in enumerate(zip(items, contents, strict=True), start=1):
        paragraphs.append(f"{numbering.format(n=number)}{item.title}{between}{content}")
    for index in rng.sample(range(count), rng.randrange(1, count + 1)):
        remark = rng.choice(REMARKS[items[index].language]).format(title=items[index].title)
        number = numbering.format(n=index + 1)
        paragraphs.append(f"{remark}{contents[index]} {number}".strip())
    return "\n\n".join(paragraphs)


def _summarized(rng: random.Random) -> str:
    item = draw_product(rng)
    body, summary = item.describe_at_length(rng)
    first = f"{item.title}\n" if rng.random() < 0.7 else ""
    return f"{first}{body}\n\n{summary}"


def _repeated_line(rng: random.Random) -> str:
    # No comma, no grammar: only the line before tells which word comes next.
    item = draw_product(rng)
    words = [rng.choice(WORDS) for _ in range(rng.randrange(6, 24))]
    words += [item.title, item.facts["weight"]]
    rng.shuffle(words)
    return "\n".join([" ".join(words)] * rng.choice((2, 2, 3)))
