"""Facts of a record, found by rules in its title and text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from space.catalogue import Record, detect_language, normalise, split_sentences


@dataclass(frozen=True)
class Fact:
    """A value as the record writes it, and the sentence or title that says it."""

    kind: str
    value: str
    sentence: str


# --- what values look like ---

WORDS = {
    "en": "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty twenty-five thirty forty fifty",
    "pt": "um dois três quatro cinco seis sete oito nove dez onze doze treze quatorze quinze"
    " dezesseis dezessete dezoito dezenove vinte trinta quarenta cinquenta",
}
COUNT = rf"(?:\d+|(?:{'|'.join(WORDS['en'].split() + WORDS['pt'].split())})\b)"
WORD_COUNT = rf"(?:{'|'.join(WORDS['en'].split())})\b"
NUMBER = r"\d+(?:[.,]\d+)*"
WEIGHT = rf"{NUMBER}\s?(?:kg|g|mg|oz|lbs?|grams|gramas|kilos|quilos|pounds|ounces)\b"
LENGTH = rf"{NUMBER}\s?(?:mm|cm|m|km|metres?|meters?|metros?|inch(?:es)?|feet|ft|polegadas?)\b"
SIZE = rf"(?:{NUMBER}(?:\s?(?:cm|mm|m))?\s?(?:by|x|×|por)\s?){{1,2}}{NUMBER}\s?(?:cm|mm|m|inches)\b"
VOLUME = rf"{NUMBER}\s?(?:litres?|liters?|litros?|ml|l)\b"
YEAR = r"(?:1[89]|20)\d\d"
CAPITAL = r"[A-ZÀ-Þ](?:[\w-]|['’](?!s\b))*\w(?!['’]s)"
LAST = r"[A-ZÀ-Þ](?:[\w-]|['’](?!s\b))*\w"
INITIAL = r"[A-ZÀ-Þ]\."
NAME = (
    rf"(?:{CAPITAL}|{INITIAL})(?:\s(?:(?:de|da|do|dos|das|van|von|del|di)\s)?"
    rf"(?:{CAPITAL}|{INITIAL}))*\s(?:(?:de|da|do|dos|das|van|von|del|di)\s)?{LAST}"
)
FIRM = rf"{CAPITAL}(?:\s(?:&\s|of\s|de\s|da\s|do\s)?{CAPITAL}){{0,3}}"
PLACE = rf"{CAPITAL}(?:(?:\s|,\s)(?:(?:de|da|do|dos|das|of)\s)?{CAPITAL}){{0,2}}"
SPAN = rf"(?:{COUNT}|um|uma|one|a)\s(?:years?|months?|anos?|meses|mês)\b"

MATERIALS = {
    "en": """
    oak walnut beech ash pine maple cherry birch hickory elm sapele mahogany teak rosewood ebony
    spruce cedar sycamore olivewood rubberwood pearwood boxwood plywood fibreboard wood bamboo
    cork willow wicker steel iron brass bronze copper aluminium aluminum zinc tin pewter
    titanium leather suede cotton linen wool merino lambswool silk cashmere velvet corduroy
    denim canvas felt jute hemp sisal polyester nylon polypropylene polyethylene acrylic rubber
    silicone latex plastic glass crystal ceramic porcelain stoneware earthenware terracotta clay
    slate marble granite cordierite soapstone cardboard paper fleece tweed fibreglass concrete
    coir hessian raffia rattan
""".split(),
    "pt": """
    carvalho nogueira pinus pinho eucalipto peroba jatobá ipê cedro mogno madeira bambu cortiça
    vime aço ferro latão bronze cobre alumínio zinco estanho titânio couro camurça algodão linho
    lã seda veludo lona feltro juta sisal poliéster náilon nylon polipropileno acrílico borracha
    silicone plástico vidro cristal cerâmica porcelana barro argila ardósia mármore granito
    papelão papel palha concreto
""".split(),
}
COLOURS = {
    "en": """
    red blue green yellow orange purple violet pink brown black white grey gray cream navy teal
    turquoise mustard olive beige ivory ecru crimson scarlet maroon burgundy oatmeal khaki lilac
    charcoal plum rust indigo tan camel
""".split(),
    "pt": """
    vermelho vermelha azul verde amarelo amarela laranja roxo roxa violeta rosa marrom preto
    preta branco branca cinza creme turquesa mostarda bege marfim vinho lilás bordô cru crua
""".split(),
}
# Materials and colours, as normalise() spells them.
_ALL_WORDS = (*MATERIALS["en"], *MATERIALS["pt"], *COLOURS["en"], *COLOURS["pt"])
FACT_WORDS = frozenset(map(normalise, _ALL_WORDS))
MATERIAL_BEFORE = (
    r"(?:(?:solid|stainless|carbon|cast|brushed|spring|sheet|waxed|recycled|tempered|turned|heavy|"
    r"plain|galvanised|enamelled|forged|heat-resistant|undyed|natural|pure|thick|double-faced|"
    r"Kentish|English|British|Swedish|Devon|American|Irish|French|Portuguese)\s)*"
)
MATERIAL_EN = rf"{MATERIAL_BEFORE}(?:{'|'.join(MATERIALS['en'])})\b(?![-'’])"
MATERIAL_PT = (
    rf"(?:{'|'.join(MATERIALS['pt'])})\b(?![-])"
    r"(?:\s(?:inox(?:idável)?|carbono|fundido|esmaltado|reciclado|maciç[oa]|temperado|cru|"
    r"galvanizado|natural|forjado)\b)*"
)
MATERIAL = {"en": MATERIAL_EN, "pt": MATERIAL_PT}
COLOUR = {
    "en": rf"(?:(?:dark|light|pale|deep|bright|bottle|sky|navy|forest|brick)[ -])?"
    rf"(?:{'|'.join(COLOURS['en'])})\b(?![-'’])",
    "pt": rf"(?:{'|'.join(COLOURS['pt'])})\b(?![-])(?:[ -](?:escur[oa]|clar[oa]|marinho|petr"
    rf"óleo))?",
}

# --- rules: kind, and a pattern with the group `value` ---

# The record's own thing, not a part of it; see _is_subject().
IT = (
    r"(?:(?:Empty|Overall|In all|Vazi[oa]|Ao todo),?\s)?"
    r"(?P<subject>(?:It|This|They|These|Ele|Ela)\b"
    r"|(?:The|This|Our|O|A|Os|As|Este|Esta|Um|Uma)\s(?:[\w'’-]+\s)?[\w'’-]+)"
)
ABOUT = r"(?:about|around|only|just|exactly|nearly|roughly|over|cerca de|apenas|só|uns|umas)\s"


def _measure(kind: str, verbs: str, value: str, after: str = "") -> Iterator[tuple[str, str]]:
    """Yield the rules of a measure that the subject has."""
    end = rf"(?:{verbs})\s(?:{ABOUT})?(?P<value>{value}){after}"
    yield kind, rf"^{IT}\s{end}"
    yield kind, rf"^{IT}\s(?:{VERBS})\s[^.;:]{{1,90}}?\s(?:and|e|but|mas)\s{end}"


VERBS = (
    "is|are|was|were|has|have|measures?|stands?|holds?|runs?|lasts?|plays?|comes?|contains?|makes?"
    "|é|são|foi|tem|têm|mede|medem|comporta|leva|traz|dura"
)
BE = r"is|are|measures?|mede|medem|tem|têm|has|have"
RULES = {
    "en": [
        *_measure("weight", "weighs?", WEIGHT, r"(?!\s(?:each|apiece|per\b|a\s))"),
        ("weight", rf"^(?:Weighs|Weight(?: is|:)?)\s(?:{ABOUT})?(?P<value>{WEIGHT})"),
        *_measure("length", f"{BE}|(?:is|are)", LENGTH, r"\s(?:long\b|in length)"),
        ("length", rf"^(?:Its l|L)ength(?: is|:)\s(?:{ABOUT})?(?P<value>{LENGTH})"),
        *_measure("height", "stands?|is|are|measures", LENGTH, r"\s(?:high|tall)\b"),
        ("height", rf"^(?:Its h|H)eight(?: is|:)\s(?:{ABOUT})?(?P<value>{LENGTH})"),
        *_measure("width", "is|are|measures", LENGTH, r"\s(?:wide|across)\b"),
        *_measure("size", "measures?|is|are", SIZE),
        ("size", rf"^(?:Size|Dimensions)(?: is|:| are)\s(?P<value>{SIZE})"),
        *_measure("capacity", "holds?", VOLUME),
        ("capacity", rf"^Holds\s(?:{ABOUT})?(?P<value>{VOLUME})"),
        ("pages", r"(?<![\d,.-])(?P<value>\d{2,4})(?: board)? pages\b"),
        *_measure("duration", r"(?:runs?|lasts?|plays?)(?: for)?", r"\d+(?= minutes)"),
        ("duration", r"^A game (?:lasts|takes) (?:about )?(?P<value>\d+)(?= minutes)"),
        (
            "tracks",
            r"(?<![\d.-])(?P<value>\d{1,2})(?: (?:new|untitled|original|great|classic))? "
            r"(?:songs|tracks)\b(?! from)",
        ),
        (
            "tracks",
            r"(?<![\d.-])(?P<value>\d{1,2})[- ]track (?:album|CD|collection|set|recor"
            r"d|disc)",
        ),
        (
            "year",
            r"(?:was|were|and) (?:first )?(?:published|issued|released|printed)\b"
            rf"[^.;:]{{0,50}}? in (?:[A-Z][a-z]+ )?(?P<value>{YEAR})",
        ),
        (
            "year",
            rf"^(?:Published|Released|Issued)\b[^.;:]{{0,40}}? in (?:[A-Z][a-z]+ )?(?P<"
            rf"value>{YEAR})",
        ),
        ("year", rf"\b(?:came out in|brought it out in|dates from) (?P<value>{YEAR})"),
        (
            "year",
            rf"^(?P<value>{YEAR}) (?:debut|album|release|second|third|fourth|fifth|live|EP|CD|"
            r"reissue|compilation|single|solo|collection|studio|recording)\b",
        ),
        ("date", r"\bRelease Date:\s?(?P<value>\d{1,2}-[A-Z]{3}-\d{4})"),
        (
            "genre",
            r"\bGenre:\s?(?P<value>[A-Z][\w &/,-]+?)\s?(?=Media Format|Format:|Rating|"
            r"Release Date|Artist|Label|$)",
        ),
        ("format", r"\bMedia Format:\s?(?P<value>[A-Z][\w ]+?)\s?(?=Rating|Release Date|Genre|$)"),
        (
            "filmed",
            r"\b(?:made|directed|shot|filmed)\b[^.;:]{0,60}? in "
            rf"(?:[A-Z][a-zø]+ in )?(?P<value>{YEAR})",
        ),
        (
            "recorded",
            r"\b[Rr]ecorded\b[^.;:]{0,50}?\b(?:in|at [A-Z]\w+ in) (?:[A-Z][a-z]+ )?"
            rf"(?P<value>{YEAR})",
        ),
        ("author", rf"\b(?:[Ww]ritten|[Ww]ords are|[Tt]ext is|[Ss]tory is) by (?P<value>{NAME})"),
        ("author", rf"^By (?P<value>{NAME})(?=[,.;]| \(|$)"),
        ("author", rf"\bAuthor (?P<value>{NAME})"),
        ("author", rf"^(?P<value>{NAME}) wrote (?:this|the|it)\b"),
        (
            "author",
            rf"^(?P<value>{NAME})['’]s (?:[\w-]+,? ){{0,3}}(?:novel|memoir|cookbook|m"
            rf"ystery|book)\b",
        ),
        ("author", rf"\bedition of (?P<value>{NAME})['’]s (?:novel|memoir|cookbook|book)\b"),
        (
            "author",
            rf"^(?P<value>{NAME}) (?:is|was) (?:also )?(?:the )?(?:[\w-]+ ){{0,2}}aut"
            rf"hor of\b",
        ),
        ("director", rf"\b[Dd]irected by (?P<value>{NAME})"),
        ("director", rf"^(?:Director )(?P<value>{NAME})"),
        (
            "director",
            rf"(?:^|^Director |^Playwright )(?P<value>{NAME}) (?:(?:made|directed|w"
            rf"rote and directed|shot) "
            r"this|(?:directed|shot) it)\b",
        ),
        ("producer", rf"\b[Pp]roduced by (?P<value>{NAME})(?! and\b| &|,)"),
        ("publisher", rf"\b[Pp]ublished by (?P<value>{FIRM})(?=[,.;]| in | and )"),
        ("label", rf"\b(?:[Ii]ssued|[Rr]eleased) by (?P<value>{FIRM})(?=[,.;]| in | and )"),
        ("label", rf"\bon the (?P<value>{FIRM}) label\b"),
        (
            "age_range",
            rf"\bages? (?:of )?(?P<value>{COUNT}(?: to |-|–){COUNT}|{COUNT}(?:\+| "
            rf"and (?:up(?:wards)?|over)))",
        ),
        (
            "age_range",
            rf"\b[Cc]hildren (?:of|aged) (?:about )?(?P<value>{COUNT}(?: to |-|–)"
            rf"{COUNT})",
        ),
        (
            "age_from",
            rf"\b(?:[Ss]uitable|[Rr]ecommended|[Ss]afe|[Mm]eant for \w+|join in,?) "
            rf"from (?:about |the age of )?(?P<value>{COUNT} (?:months|years)|birth)",
        ),
        (
            "material",
            rf"^{IT} (?:is|are) (?:(?:all|mostly|entirely|made|turned|cut|carved|wo"
            rf"ven|sewn|knitted|forged) )*"
            rf"(?:of |from |in )?(?P<value>{MATERIAL_EN}(?:,? and (?:\w+ )?{MATERIAL_EN})?)(?! "
            rf"(?:and|or|in colour)\b)",
        ),
        (
            "tracks",
            rf"\b(?:has|have|contains?|features?|There are) (?P<value>{WORD_COUNT})(?"
            rf": (?:new|untitled|original|great|classic))? "
            r"(?:songs|tracks)\b(?! from)",
        ),
        (
            "material",
            rf"^(?:Made|Turned|Carved|Woven|Sewn|Knitted) (?:of|from) (?P<value>"
            rf"{MATERIAL_EN}(?: and {MATERIAL_EN})?)",
        ),
        (
            "colour",
            rf"\b[Tt]he colou?r is (?:an? )?(?P<value>{COLOUR['en']})(?=[.,;]| instea"
            rf"d| with)",
        ),
        (
            "colour",
            rf"^{IT} (?:is|are|comes in|come in) (?:painted |powder-coated |dyed |fin"
            rf"ished in |all )?(?P<value>{COLOUR['en']})(?=[.,;]|$| with| all over| only)",
        ),
        (
            "colour",
            rf"\b(?:dyed|painted|powder-coated|enamelled) (?P<value>{COLOUR['en']})(?"
            rf"=[.,;]|$| with| and left)",
        ),
        (
            "made_in",
            rf"^(?:Made|Forged|Knitted|Woven|Turned|Sewn|Built|Spun|Fired|Carved|Cas"
            rf"t|Assembled)"
            rf"(?: and \w+)?(?: by hand| for us)? in (?P<value>{PLACE})",
        ),
        (
            "made_in",
            rf"^{IT} (?:is|are|was|were) (?:made|forged|knitted|woven|turned|sewn|bu"
            rf"ilt|spun|fired|carved|cast|assembled)"
            rf"(?: and \w+)?(?: by hand| for us)?[^.;:,]{{0,30}}? in (?P<value>{PLACE})",
        ),
        (
            "guarantee",
            rf"\b(?:[Gg]uaranteed for|[Gg]uarantee (?:is|of|lasts|runs for)|[Gg]ua"
            rf"rantee:) (?P<value>{SPAN})",
        ),
        ("contents", rf"^{IT} comes with (?P<value>[^.;:]{{4,80}})(?=\.|$)"),
        (
            "contents",
            r"^In the box (?:you will find|there (?:is|are)|is|are) (?P<value>[^.;:"
            r"]{4,80})(?=\.|$)",
        ),
        ("contents", r"^The (?:set|kit|box) (?:includes|contains) (?P<value>[^.;:]{4,80})(?=\.|$)"),
    ],
    "pt": [
        *_measure("weight", "pesam?", WEIGHT, r"(?!\scada)"),
        (
            "weight",
            rf"^(?:(?:Vazi[oa]|Ao todo|Por inteiro), p|P)esam? (?:{ABOUT})?(?P<value>"
            rf"{WEIGHT})",
        ),
        (
            "weight",
            rf"^(?:Mede|Tem|É|São|Comporta)\b[^.;:]{{1,80}}? e pesa (?:{ABOUT})?(?P<v"
            rf"alue>{WEIGHT})",
        ),
        ("weight", rf"^Peso:? (?P<value>{WEIGHT})"),
        *_measure("length", "tem|têm|mede|medem", LENGTH, " de comprimento"),
        ("length", rf"^(?:Tem|Mede|Comprimento:) (?P<value>{LENGTH})(?: de comprimento)"),
        *_measure("height", "tem|têm|mede|medem", LENGTH, " de altura"),
        ("height", rf"^(?:Tem|Mede) (?P<value>{LENGTH}) de altura"),
        *_measure("width", "tem|têm|mede|medem", LENGTH, " de largura"),
        ("width", rf"^(?:Tem|Mede) (?P<value>{LENGTH}) de largura"),
        *_measure("size", "mede|medem", SIZE),
        ("size", rf"^(?:Mede|Medem|Tamanho:|Medidas:) (?P<value>{SIZE})"),
        *_measure("capacity", "comporta|leva|tem capacidade para", VOLUME),
        (
            "capacity",
            rf"^(?:Comporta|Capacidade:|Leva) (?:{ABOUT}|até )?(?P<value>{VOLUME})("
            rf"?! de)",
        ),
        ("pages", r"(?<![\d,.-])(?P<value>\d{2,4}) páginas\b"),
        *_measure("duration", "dura|duram", r"\d+(?= minutos)"),
        ("duration", r"^(?:Dura|Duração:|São) (?P<value>\d+)(?= minutos)"),
        ("tracks", r"(?<![\d.-])(?P<value>\d{1,2}) (?:faixas|canções|músicas)\b"),
        (
            "year",
            r"\b(?:[Ss]aiu|[Ll]ançad[oa]|[Pp]ublicad[oa]|[Ii]mpress[oa]|[Ee]ditad[oa])\b"
            rf"[^.;:]{{0,50}}? em (?:\w+ de )?(?P<value>{YEAR})",
        ),
        (
            "filmed",
            rf"\b(?:[Ff]ilmad[oa]|[Rr]odad[oa]|[Dd]irigid[oa])\b[^.;:]{{0,50}}? em (?"
            rf"P<value>{YEAR})",
        ),
        ("recorded", rf"\b[Gg]ravad[oa]\b[^.;:]{{0,50}}? em (?:\w+ de )?(?P<value>{YEAR})"),
        (
            "author",
            rf"\b(?:[Ee]scrit[oa] por|[Dd]e autoria de|[Tt]exto de|[Tt]extos de) (?P<"
            rf"value>{NAME})",
        ),
        ("author", rf"^(?P<value>{NAME}) (?:escreveu|é (?:o autor|a autora))\b"),
        ("author", rf"\b[Aa]utor(?:a)?:? (?P<value>{NAME})"),
        (
            "director",
            rf"\b(?:[Dd]irigid[oa] por|[Dd]ireção(?: é)? de|[Dd]iretora?) (?P<value"
            rf">{NAME})",
        ),
        (
            "publisher",
            rf"\b(?:[Pp]ublicad[oa] (?:pela|pelo|por)|[Ee]ditora) (?P<value>{FIRM}"
            rf")(?=[,.;]| em )",
        ),
        ("age_range", rf"\bcrianças (?:de|entre) (?P<value>{COUNT} (?:a|e) {COUNT} anos)"),
        ("age_from", rf"\b[Aa] partir (?:de|dos) (?P<value>{COUNT} (?:anos|meses))"),
        (
            "material",
            rf"^{IT} (?:é|são) (?:tod[oa]s? )?(?:feit[oa]s? )?(?:de|em) (?P<value>"
            rf"{MATERIAL_PT}(?: e {MATERIAL_PT})?)",
        ),
        (
            "material",
            rf"^(?:Feit[oa]s?|Tod[oa]s?|É|São) (?:feit[oa]s? )?(?:de|em) (?P<value>"
            rf"{MATERIAL_PT}(?: e {MATERIAL_PT})?)",
        ),
        ("colour", rf"\b[Aa] cor é (?P<value>{COLOUR['pt']})(?=[.,;])"),
        (
            "made_in",
            r"^(?:Feit|Fabricad|Tecid|Costurad|Forjad|Produzid|Queimad|Bordad)[oa]s?"
            rf"(?: à mão)? em (?P<value>{PLACE})",
        ),
        (
            "made_in",
            rf"\b(?:feit|fabricad|tecid|costurad|forjad|produzid|bordad)[oa]s?(?: à "
            rf"mão)? em (?P<value>{PLACE})",
        ),
        ("guarantee", rf"\b[Gg]arantia(?: é)?(?: de|:) (?P<value>{SPAN})"),
        (
            "contents",
            r"^(?:Acompanham?|Vem com|Vêm com|Inclui|Incluem) (?P<value>[^.;:]{4,80"
            r"})(?=\.|$)",
        ),
        ("contents", rf"^{IT} (?:vem com|inclui|traz consigo) (?P<value>[^.;:]{{4,80}})(?=\.|$)"),
    ],
}
COMPILED: dict[str, list[tuple[str, re.Pattern]]] = {}
for language, rules in RULES.items():
    COMPILED[language] = [(kind, re.compile(pattern)) for kind, pattern in rules]
# A sentence with one of these says something else with the same words.
NOT = {
    "pages": r"booklet|leaflet|rule ?book|manual de|livreto|encarte|folheto|libreto|\blast "
    r"\d|first \d"
    r"|sleeve|inlay|notes|apiece|each",
    "tracks": r"bonus|side|demo|extra|bônus|each|per\b|songs? from",
    "year": r"\b(?:[Hh]er|[Hh]is|[Tt]he|[Tt]heir) first|\bBefore\b|\breleased a\b|slated|to "
    r"be|planned|original|re-?master|should have|would|since|again|reedi",
    "filmed": r"\bhit\b|\btapes\b|Produced|recordings|releas|album|record\b|track|song|singl"
    r"e|CD\b|made for|set in|wine|pottery|tool",
    "recorded": r"\b[Aa]lso\b|which he|\d{4} and|original|songs? (?:were|was)",
    "director": r"assistant|art |music|video|novels?\b|books\b|\bwill be\b",
    "producer": r"single|co-|track|except|song|previous|earlier|remix|executive|also|\bone\b",
    "contents": r"\bno\b|\b[Nn]ot\b|\bsem\b|\b[Nn]ão\b|warning|memories|which|that |\bbut\b|\bso\b",
    "made_in": r"sizes?\b|Technicolor|CinemaScope|January|February|March|April|May|June|July|August"
    r"|September|October|November|December|part of|partly|in part",
    "age_range": r"\b[Nn]ot\b|\b[Nn]ão\b|unsuitable",
    "age_from": r"\b[Nn]ot\b|\b[Nn]ão\b|guarant|garantia",
    "material": r"\bnot made|\bnever|imitation|looks? like|rather than|instead|imita",
    "colour": r"\b[Nn]ot\b|\bor\b|also|\bou\b|cores",
    "guarantee": r"not covered|^(?:The|A|O|As|Os) (?!guarantee|garantia)[\w-]+ (?:is|are|tem"
    r"|têm)\b",
    "label": r"was to be|albums|dozen|\bHe\b|first of|originally",
    "author": r"produced|co-?written|lyrics|music|songs?\b|foreword|introduc|edited|prefácio"
    r"|illustrat|translat|compared|praise",
}
EXCLUDED = {kind: re.compile(pattern) for kind, pattern in NOT.items()}
NAMES = ("author", "director", "producer", "publisher", "label")
LONG_SENTENCE = 250  # characters; a longer one names several people for several things
PROFESSION = re.compile(
    r"^(?:Composer|Biologist|Author|Director|Playwright|Historian|Poet|Novelist|Gardener|Che"
    r"f|Baker|"
    r"Professora?|Autora?|Diretora?|Dr|Mr|Mrs|Ms|Sir|Dame)\.?\s(?=\S+\s)"
)
# What a sentence may call the whole thing beside the words of its title.
WHOLE = set(
    """
    set kit book pair thing whole hardback paperback volume film dvd disc cd album record tape
    cassette game toy conjunto livro par jogo peça filme disco produto item box pack roll
""".split()
)
NO_NAME = set(
    """
    both whereas while when although not one two if as in only even the this that these those it
    its in on by at and his her their our new best great records music recordings label press
    books group our original compact disc
""".split()
)


def find_facts(record: Record) -> list[Fact]:
    """Find one fact of each kind that a record says about itself.

    A kind with two different values is left out: a question would have two answers.
    """
    language = detect_language(record["content"])
    found: dict[str, Fact] = {}
    unclear: set[str] = set()
    for fact in [*_title_facts(record["title"], language), *_text_facts(record, language)]:
        known = found.setdefault(fact.kind, fact)
        ours, theirs = normalise(fact.value), normalise(known.value)
        if ours not in theirs and theirs not in ours:
            unclear.add(fact.kind)
    return [fact for kind, fact in found.items() if kind not in unclear]


def _title_facts(title: str, language: str) -> Iterator[Fact]:
    """Find a material or a colour between a title's commas."""
    for part in title.split(", ")[1:]:
        for kind, patterns in (("material", MATERIAL), ("colour", COLOUR)):
            if re.fullmatch(patterns[language], part.strip(), re.IGNORECASE):
                yield Fact(kind, part.strip().lower(), title)


def _text_facts(record: Record, language: str) -> Iterator[Fact]:
    words = set(normalise(record["title"]).split()) | WHOLE
    for sentence in split_sentences(record["content"]):
        for kind, pattern in COMPILED[language]:
            match = pattern.search(sentence)
            if match is None or (kind in EXCLUDED and EXCLUDED[kind].search(sentence)):
                continue
            subject = match.groupdict().get("subject")
            if subject and not _is_subject(subject, words):
                continue
            value = match["value"].strip(" ,")
            if kind in NAMES:
                value = PROFESSION.sub("", value)
                if len(sentence) > LONG_SENTENCE:
                    continue
            if _is_value(kind, value):
                yield Fact(kind, value, sentence)


def _is_subject(subject: str, words: set[str]) -> bool:
    """Check whether a subject is the record's own thing."""
    if subject in ("It", "This", "They", "These", "Ele", "Ela"):
        return True
    spoken = normalise(subject).split()
    return bool(spoken) and (spoken[-1] in words or spoken[-1].rstrip("s") in words)


def _is_value(kind: str, value: str) -> bool:
    if kind == "tracks":
        return not value.isdigit() or int(value) >= 4
    if kind in NAMES:
        own = normalise(value).split()
        return bool(own) and own[0] not in NO_NAME and len(value) <= 40
    return True
