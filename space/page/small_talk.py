"""Recognise small talk, which the page answers itself: greetings, thanks, sums."""

from __future__ import annotations

import re
import unicodedata

# Whole phrases, accents folded. A question is small talk only if nothing else is in it. What a
# visitor may also ask about a record ("how does it work?", "more?", "yes") is not among them.
PHRASES = {
    "en": (
        "hi|hello|hey|good (?:morning|afternoon|evening|night)|how are you(?: doing)?|"
        "how is it going|hows it going|what ?s up|nice to meet you|bye|goodbye|see you|"
        "thanks?(?: you)?|thx|cheers|ok(?:ay)?|great|help(?: me)?|test|"
        "(?:so )?what (?:can|do) you do|what can i ask(?: you)?|(?:so )?(?:who|what) are you|"
        "what is your name|whats your name|are you (?:a robot|a bot|human|there)|tell me a joke|"
        "can you help me"
    ),
    "pt": (
        "oi+|ola|e ai|opa|bom dia|boa (?:tarde|noite)|tudo (?:bem|bom)(?: com voce)?|como vai"
        "(?: voce)?|como voce esta|como esta|tchau|ate (?:logo|mais)|(?:muito )?obrigad[oa]|valeu|"
        "de nada|ajuda|me ajud[ae]|teste|quem e voce|o que (?:e )?(?:que )?voce (?:faz|sabe fazer|"
        "pode fazer|consegue fazer)|o que (?:eu )?posso perguntar|(?:qual e o )?seu nome|"
        "voce e (?:um robo|humano)|conte uma piada|voce pode me ajudar"
    ),
}
# Words that may stand beside a phrase but are none.
FILLERS = "there|everyone|shelftalk|please|so much|very much|a lot|all|again|and|gente|pessoal|e"
ASKS_A_SUM = r"(?:what is|whats|how much is|quanto e|quanto da|calculate|calcule)"
# "10x15", "12-34" and "1/2" may be a size or a number of the catalogue: those need the question.
SUM = r"\d+(?:[.,]\d+)?"
BARE_SUM = re.compile(rf"{SUM}(?: ?[+*÷] ?{SUM})+ ?[=?]*")
ASKED_SUM = re.compile(rf"{ASKS_A_SUM} {SUM}(?: ?[-+*/÷x×] ?{SUM})+ ?[=?]*")


def small_talk_language(question: str) -> str | None:
    """Detect small talk and its language.

    Returns "" where it shows no language, and None for a question.
    """
    folded = _fold(question)
    if found := ASKED_SUM.fullmatch(folded):
        return "pt" if found[0].startswith(("quanto", "calcule")) else "en"
    if BARE_SUM.fullmatch(folded):
        return ""
    plain = " ".join(re.findall(r"[^\W_]+", folded.replace("'", "").replace("\u2019", "")))
    for language, phrases in PHRASES.items():
        if re.fullmatch(rf"(?:(?:{FILLERS}) )*(?:{phrases})(?: (?:{phrases}|{FILLERS}))*", plain):
            return language
    return None


def _fold(text: str) -> str:
    """Fold accents, case and spaces, and drop a long text."""
    if len(text) > 80:
        return ""
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return " ".join(re.sub("[\u0300-\u036f]", "", decomposed).split())
