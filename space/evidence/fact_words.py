"""Word lists for checking facts in English and Portuguese: colours, materials, units, numbers."""

from __future__ import annotations

import re
import unicodedata

# A line a colour; all its words name it. After a colon stand shades, which are that colour too.
_COLOURS = """
black preto preta pretos pretas negro negra
white branco branca brancos brancas
grey gray cinza cinzento cinzenta: slate charcoal chumbo grafite
red vermelho vermelha vermelhos vermelhas: crimson scarlet burgundy oxblood maroon bordô vinho \
carmim rust
blue azul azuis: navy teal turquoise turquesa indigo anil marinho
green verde verdes: olive lovat oliva lime teal turquoise turquesa
yellow amarelo amarela amarelos amarelas: mustard mostarda lemon
orange laranja alaranjado: rust terracotta terracota
brown marrom castanho castanha: tan chestnut bracken
purple roxo roxa: violet violeta lilac lilás lavender mauve plum
pink rosa rosado: magenta fuchsia
beige bege: oatmeal ecru cream creme cru sand areia
gold golden dourado dourada
silver prateado prateada prata
bronze-coloured bronzeado
multicoloured multicolored colorido colorida
"""
# A line a material; after a colon stand kinds of it.
_MATERIALS = """
wood wooden madeira: hickory beech oak maple ash birch pine pinus pinho larch cedar cedro walnut \
nogueira cherry mahogany mogno teak bamboo bambu plywood pearwood pear rosewood jacarandá ipê \
peroba eucalipto eucalyptus carvalho boxwood hornbeam spruce ebony ébano lime olivewood \
goiabeira marfim timber sycamore hazel willow
beech faia
oak carvalho
pine pinus pinho
cedar cedro
walnut nogueira
mahogany mogno
bamboo bambu
eucalyptus eucalipto
ebony ébano
pear pearwood pereira
maple bordo
ash freixo
birch bétula
larch lariço
cherry cerejeira
metal metallic metálico metálica: steel aço iron ferro brass latão bronze copper aluminium \
aluminum alumínio zinc zinco tin tinplate pewter estanho titanium titânio silver prata gold \
nickel níquel chrome inox alloy
steel aço: inox stainless
iron ferro
brass latão
bronze
copper cobre
aluminium aluminum alumínio
zinc zinco
pewter estanho tin tinplate
titanium titânio
alloy liga
cotton algodão: corduroy denim flannel canvas chita brim lona calico muslin drill jersey
wool woollen woolen lã: merino lambswool alpaca cashmere tweed felt feltro mohair
merino
lambswool
alpaca alpaca
cashmere caxemira
felt feltro
linen linho
silk seda
velvet veludo
leather couro: suede camurça calfskin cowhide
polyester poliéster
nylon náilon poliamida
polyurethane poliuretano
elastane elastano lycra
canvas lona
corduroy
denim jeans
flannel flanela
tweed
satin cetim
lace renda
plastic plástico plástica plastics: polyester polypropylene polipropileno polyethylene pvc nylon \
polyurethane acrylic acrílico abs bakelite melamine melamina resin resina vinyl vinil silicone
vinyl vinil
silicone
acrylic acrílico
rubber borracha: latex látex
glass vidro: borosilicate borossilicato crystal cristal pyrex
ceramic ceramics cerâmica: stoneware porcelain porcelana earthenware terracotta terracota clay \
barro grés faience
stoneware grés
porcelain porcelana
clay barro argila
stone pedra: granite granito marble mármore slate ardósia sandstone cordierite soapstone basalt
granite granito
marble mármore
slate ardósia
cork cortiça
straw palha: toquilla raffia ráfia
rattan vime wicker
jute juta
hemp cânhamo
paper papel: card cardboard
cardboard papelão
bone osso
ivory marfim
foam espuma: eva
cement concrete concreto cimento
wax cera
cloth fabric textile tecido pano: cotton algodão wool lã linen linho silk seda velvet polyester \
canvas lona corduroy denim flannel tweed felt merino lambswool chita brim calico muslin drill
"""
# A line a unit: its kind, how many of the kind's first unit it is, and its spellings.
_UNITS = """
mass 1 g gr gram grams gramme grammes grama gramas
mass 1000 kg kgs kilo kilos kilogram kilograms kilogramme quilo quilos quilograma quilogramas
mass 0.001 mg milligram milligrams miligramas
mass 453.592 lb lbs pound-weight libras
mass 28.3495 oz ounce ounces onça onças
mass 1000000 tonne tonnes tonelada toneladas
length 1 mm millimetre millimetres millimeter millimeters milímetro milímetros
length 10 cm cms centimetre centimetres centimeter centimeters centímetro centímetros
length 1000 m metre metres meter meters metro metros
length 1000000 km kilometre kilometres kilometer kilometers quilômetro quilômetros
length 25.4 inch inches polegada polegadas
length 304.8 ft foot feet pé pés
length 914.4 yard yards jarda jardas
volume 1 ml millilitre millilitres milliliter milliliters mililitro mililitros
volume 10 cl centilitre centilitres
volume 1000 l litre litres liter liters litro litros
volume 4546 gallon gallons galão galões
duration 1 second seconds sec secs segundo segundos
duration 60 minute minutes min mins minuto minutos
duration 3600 hour hours hr hrs h hora horas
days 1 day days dia dias
days 7 week weeks semana semanas
days 30.4375 month months mês meses
days 365.25 year years ano anos
volt 1 v volt volts
watt 1 w watt watts
watt 1000 kw kilowatt kilowatts
hertz 1 hz hertz
hertz 1000 khz
percent 1 % percent
degrees 1 ° °c °f degree degrees grau graus
dollars 1 dollar dollars usd dólar dólares
euros 1 € euro euros eur
pounds 1 £ pound pounds gbp
reais 1 real reais brl
storage 1 mb megabyte megabytes
storage 1000 gb gigabyte gigabytes
"""
# Counted things whose names agree between the languages or have several names.
_COUNTED = """
page pages pp página páginas
piece pieces peça peças
part parts parte partes
track tracks song songs faixa faixas música músicas
episode episodes episódio episódios
chapter chapters capítulo capítulos
recipe recipes receita receitas
pocket pockets bolso bolsos
button buttons botão botões
player players jogador jogadores
colour colours color colors cor cores
size sizes tamanho tamanhos
pair pairs par pares
photograph photographs photo photos fotografia fotografias foto fotos
disc discs disco discos
"""
_NUMBER_WORDS = """
2 two dois duas
3 three três
4 four quatro
5 five cinco
6 six seis
7 seven sete
8 eight oito
9 nine nove
10 ten dez
11 eleven onze
12 twelve doze dozen dúzia
13 thirteen treze
14 fourteen quatorze catorze
15 fifteen quinze
16 sixteen dezesseis
17 seventeen dezessete
18 eighteen dezoito
19 nineteen dezenove
20 twenty vinte
30 thirty trinta
40 forty quarenta
50 fifty cinquenta
60 sixty sessenta
70 seventy setenta
80 eighty oitenta
90 ninety noventa
100 hundred cem cento
500 quinhentos quinhentas
1000 thousand mil
"""
# Words that hold no fact of their own: how a description speaks, and praise.
_PLAIN = """
able about above according across actual actually add added adds after again ago ahead all allow
allowed allows almost along already also although always am among amount another answer any
anything anyone apart approximately around available away back based because become becomes before
beginning being below best better between both bring brings brought but buy called came cannot
care catalogue choose chosen clear come comes coming consist consists contain contained containing
contains cost costs could course created day depth describe described describes description design
designed detail details did diameter different dimension dimensions does doing done down during
each easily easy either else enough even ever every everyone everything exact exactly example
excellent fact fairly feature featured features featuring feel few find finish finished first fit
fits follow following follows form found full fully gave general get gets give given gives go goes
good got great had half having heavy height help helps here high hold holds idea ideal include
included includes including information instead item items itself just keep keeps kept kind know
known last later least length less let like list listed little live long look looking looks lot
love lovely lots low made main mainly make makes making many matter may mean means measure
measured measurement measurements measures measuring mention mentioned mentions might more most
much must name named near nearly need needed needs never new next nice none nor nothing now number
numbers off offer offered offers often old once one ones only open other others otherwise out over
overall own particular people perfect perhaps person piece pieces place plus possible probably
product products provide provided provides quality quite range rather read ready real really
record records recommended right run runs said same save say says see seem seems seen set
several shall should show shown shows similar simple simply since single size sized sizes small
some someone something sometimes sort specific specified specifies start state stated states still
stop such suit suitable suited suits sure take taken takes tell tells text than thank thanks them
themselves thick thickness thing things think though through throughout thus times title today
together too toward towards true try turn type under until unit unlike up upon use used useful
user uses using usually various very want wants way ways weigh weighed weighing weighs weight well
were whatever when where whether which while whole whose wide width within without wonderful word
words work works would write writes writing written wrote yes yet author published publishing
publisher publication tall large big item's released release comprises comprising total totals
lasts cover covers colour colours color colors coloured colored material materials sorry please
question sold shop store hello hi hundred per cent aged ages age bright dark light acompanha
acompanham agora ainda algo algum alguma alguns algumas além alto alta altura ano antes apenas
apesar aqui assim através autor autora baixo bastante bem boa bom bons cada caso catálogo certo
chama chamado coisa como comprimento composto composta contém contêm conta cor cores cujo cuja
custa dá dado dados de dentro depois descreve descrição desde deve diâmetro dimensões diz dizer
durante em enquanto entre então escrito escrita escreveu espessura este está estão exemplo faz
fazer feito feita feitos feitas fica ficam foi foram forma grande grandes inclui incluem indicado
indicada informa informação itens largura leva livre longo maior maiores materiais medida medidas
mede medem mesma melhor menciona menor menos muita muitas muitos nada nem nenhum nenhuma nome novo
nova nunca obrigado onde ótimo ótima outra outras outro outros parte peça pelo perfeito perfeita
permite pesa pesam pesando peso pode podem pois porque portanto possui possuem pouco pouca
primeiro primeira produto produtos próprio própria publicado publicada qualidade qualquer quando
quanto quase quem registro registros saber sabe saiu sair segundo sempre sendo sim simples sobre
tal tamanho tamanhos tanto tem têm tipo toda todas todo todos traz usado usada usar uso utiliza
vai vem vêm vez vezes vários várias você título texto editora escuro escura claro clara
"""
# What a word of the answer says too, by words of the record from which it follows.
_IMPLIED = """
book livro: paperback hardback hardcover novel romance page pages páginas memoir cookbook poems \
manual brochura atlas
novel: fiction novelist romance
film movie filme: dvd director directed diretor cinema film filmes
album álbum: cd vinyl lp song songs tracks faixas
toy brinquedo: toy puppet doll boneca jigsaw pião rattle
garment clothing roupa: jumper jacket shirt trousers dress coat poncho
jumper sweater pullover: jumper slipover pullover
tool ferramenta: spanner hammer wrench alicate saw pliers screwdriver
spanner wrench: spanner wrench
author written writer wrote autor autora: wrote novel poems author stories
directed director: director directed
story stories: novel story stories
kids child children: child children
handmade: hand
child kid kids: children child
game jogo: game jogo
"""
# "The record does not say ...": such a sentence claims nothing.
UNSTATED = re.compile(
    r"\b(?:not|n[o']t|n’t|cannot|never|não|nem|nada)\s+(?:\w+\s+){0,2}?(?:say|state|mention|specif|list|give|"
    r"tell|know|include\s+information|provide|diz|informa|menciona|especifica|consta|cita|sei|traz)",
    re.IGNORECASE,
)


def fold_word(word: str) -> str:
    """Return a word without case and accents."""
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _read_groups(table: str) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Read a table as two dicts: word -> lines, line -> kinds."""
    lines = [line.partition(":") for line in table.strip().splitlines()]
    names: dict[str, set[str]] = {}
    for index, (words, _, _) in enumerate(lines):
        for word in words.split():
            names.setdefault(fold_word(word), set()).add(str(index))
    kinds: dict[str, set[str]] = {}
    for index, (_, _, shades) in enumerate(lines):
        for word in shades.split():
            key = fold_word(word)
            names.setdefault(key, {key})
            kinds.setdefault(str(index), set()).update(names[key])
    return names, kinds


def _read_keyed(table: str) -> dict[str, str]:
    found = {}
    for line in table.strip().splitlines():
        key, *spellings = line.split()
        found.update({fold_word(spelling): key for spelling in spellings})
    return found


COLOURS, _SHADES = _read_groups(_COLOURS)
MATERIALS, _SORTS = _read_groups(_MATERIALS)
NUMBER_WORDS = {word: float(value) for word, value in _read_keyed(_NUMBER_WORDS).items()}
COUNTED = {fold_word(line.split()[0]): line.split()[0] for line in _COUNTED.strip().splitlines()}
COUNTED.update(_read_keyed(_COUNTED))
PLAIN_WORDS = frozenset(map(fold_word, _PLAIN.split()))


def _read_units() -> dict[str, tuple[str, float]]:
    units = {}
    for line in _UNITS.strip().splitlines():
        kind, factor, *spellings = line.split()
        for spelling in spellings:
            units[fold_word(spelling)] = (kind, float(factor))
    return units


UNITS = _read_units()


def _read_implied() -> dict[str, frozenset[str]]:
    implied: dict[str, frozenset[str]] = {}
    for line in _IMPLIED.strip().splitlines():
        words, _, sources = line.partition(":")
        for word in words.split():
            key = fold_word(word)
            implied[key] = implied.get(key, frozenset()) | frozenset(
                map(fold_word, sources.split())
            )
    return implied


IMPLIED = _read_implied()


def is_kind_of(names: dict[str, set[str]], word: str, other: str) -> bool:
    """Check whether `other` names what `word` names, or a kind of it.

    Both are folded words for colours or materials.
    """
    kinds = _SHADES if names is COLOURS else _SORTS
    mine, others = names.get(word, set()), names.get(other, set())
    return bool(mine & others) or any(others & kinds.get(name, set()) for name in mine)
