"""space/page/small_talk.py: greetings, thanks and sums, and nothing that asks for a record."""

import time

import pytest

from space.page.small_talk import small_talk_language

ENGLISH = (
    "hi|Hello!|hey there|Good morning|hi, how are you?|what can you do?|What can I ask?|thank you|"
    "Thanks a lot!|thank you very much|what’s up?|what's your name|what is 2+2?|What is 10 x 15?|"
    "who are you?|ok, thanks|bye"
)
PORTUGUESE = (
    "oi|Olá!|oiii|tudo bem?|Oi, tudo bem?|obrigado|Muito obrigada!|valeu|bom dia|O que você faz?|"
    "o que você sabe fazer?|O que posso perguntar?|quanto é 2+2?|Quem é você?|tchau"
)
QUESTIONS = (
    "What is the Brass Ship's Lantern?|hello kitty mug|hi-fi speaker|thank you card|"
    "hi, can you tell me something about the Oak Bench please?|how does it work?|como funciona?|"
    "more?|yes|sim|mirror|10x15|12-34|1/2|What is the 10x15 frame?|lamps|tem cadeiras?|B0042|"
    "oi, quanto pesa a bandeja?|test tube|help desk lamp|and|2|?|bom dia vietnã||مرحبا|C++"
)


@pytest.mark.parametrize("question", ENGLISH.split("|"))
def test_english_small_talk(question):
    assert small_talk_language(question) == "en"


@pytest.mark.parametrize("question", PORTUGUESE.split("|"))
def test_portuguese_small_talk(question):
    assert small_talk_language(question) == "pt"


@pytest.mark.parametrize("question", ["2+2?", "2 + 2", "3*4=", "1,5 + 2"])
def test_a_bare_sum_has_no_language(question):
    assert small_talk_language(question) == ""


@pytest.mark.parametrize("question", QUESTIONS.split("|"))
def test_what_asks_for_a_record_is_no_small_talk(question):
    assert small_talk_language(question) is None


@pytest.mark.parametrize("question", ["hi " * 7_000, "1+" * 10_000, "hi " * 26 + "x"])
def test_no_question_takes_long(question):
    start = time.perf_counter()
    small_talk_language(question)
    assert time.perf_counter() - start < 0.1
