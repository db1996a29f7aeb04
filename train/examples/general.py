"""General questions, which have nothing to do with a shop, for rehearsal.

None of them is among the instructions that `kept` scores.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

# {x} is filled in with each of the words.
FRAMES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "What is the capital of {x}?": "Portugal Egypt Norway Canada Brazil Peru Kenya Poland "
        "Ireland Cuba Turkey Sweden Argentina Thailand Hungary Chile Finland Iran",
        "Which language do people speak in {x}?": "Mexico Turkey Denmark Angola Korea Vietnam "
        "Israel Hungary",
        "What is the opposite of {x}?": "hot early happy strong young rich empty heavy noisy "
        "before inside buy win love always",
        "What is the plural of {x}?": "house child box mouse leaf foot city baby",
        "What is the first letter of the word {x}?": "garden river house bread window king",
        "What is the past tense of {x}?": "go see eat run write take",
        "What colour is {x}?": "grass coal milk blood gold chocolate",
        "What is {x}?": "gravity democracy photosynthesis jazz algebra inflation oxygen poetry "
        "electricity chess evolution philosophy bacteria rain",
        "Write one sentence about {x}.": "winter trains friendship dogs dreams bread mountains "
        "school music birds",
        "Name three {x}.": "fruits animals rivers countries vegetables metals sports trees "
        "instruments oceans months insects",
        "How many {x} are there?": "months|continents|letters in the alphabet|seconds in a minute"
        "|hours in a day|players in a football team|strings on a guitar|sides of a square",
        "Who wrote {x}?": "Hamlet|Don Quixote|War and Peace|Pride and Prejudice|The Odyssey",
        "Can {x}? Answer yes or no.": "a fish fly|a bird sing|water burn|a child learn to swim"
        "|a chair walk|people live without air",
        "Is {x}? Answer yes or no.": "the sun hot|ice warm|London in England|the moon bigger than "
        "the Earth|iron a metal|a whale a fish|five more than nine",
        "Translate to French: {x}": "thank you|the house|I am hungry|a red apple|see you tomorrow",
        "Translate to Spanish: {x}": "good night|my friend|the sea|a black cat|how are you?",
        "Give me one tip for {x}.": "sleeping better|learning a language|saving money|cooking rice"
        "|public speaking|running a first race",
        "Why {x}?": "is the sea salty|do leaves fall|do we sleep|does iron rust|do cats purr",
        "Complete the sentence with one word: {x}": "The sun rises in the|Bread is made of|A week "
        "has seven|The cat drinks its|In winter it is",
        "Say {x}.": "goodbye|thank you|good morning|the word apple",
        "{x}": "Hi!|How are you today?|Thank you very much.|Tell me a joke.|What can you do?|Good "
        "morning!|Who are you?|Write a short poem about the sea.|Write a haiku about spring."
        "|Explain to a child why the sky is dark at night.|Write a Python function that adds two "
        "numbers.|Give a synonym of quick.|Correct this sentence: He go to school.|Spell the word "
        "necessary.|Which is larger, an elephant or a mouse?|Sort these words: pear, apple, fig."
        "|Put into upper case: hello.|What rhymes with moon?|Rewrite politely: give me the book."
        "|Is this sentence happy or sad? I lost my dog.",
    },
    "pt": {
        "Qual é a capital de {x}?": "Portugal Angola Cuba Moçambique",
        "Qual é o contrário de {x}?": "alto frio cedo feliz forte",
        "Qual é o plural de {x}?": "flor animal pão casa",
        "Traduza para o inglês: {x}": "casa|obrigado|cachorro|sol|bom dia|minha mãe",
        "Como se diz {x} em inglês?": "pão porta amigo noite",
        "Cite três {x}.": "frutas|animais|países|meses do ano",
        "{x}? Responda sim ou não.": "O sol é frio|Os pássaros voam|Uma pedra come|O mar é salgado",
        "Repita a palavra {x}.": "mesa rio verde",
        "{x}": "Oi!|Tudo bem?|Muito obrigado.|O que é a chuva?|Escreva uma frase sobre o mar."
        "|Conte uma piada.|Quantos meses tem um ano?|Qual é a cor da grama?|Bom dia!",
    },
}
# Sums come in both languages; none is one that `kept` asks for.
SUMS = {"en": "What is {a} {sign} {b}?", "pt": "Quanto é {a} {sign} {b}?"}
OPERANDS = ((4, "+", 9), (6, "+", 2), (20, "+", 11), (9, "-", 4), (15, "-", 8), (2, "+", 9))
TIMES = ("What is 2 times 6?", "What is 5 times 5?", "What is half of 30?", "What is half of 8?")


def general_questions(seed: int) -> list[str]:
    """Return all general questions, shuffled, each once."""
    questions: list[str] = [*TIMES]
    for language, frames in FRAMES.items():
        for frame, words in frames.items():
            questions += [frame.format(x=word) for word in _words(words)]
        for a, sign, b in OPERANDS:
            questions.append(SUMS[language].format(a=a, sign=sign, b=b))
    random.Random(f"{seed} general").shuffle(questions)
    return questions


def _words(words: str) -> Sequence[str]:
    return words.split("|") if "|" in words else words.split()
