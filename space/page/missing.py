"""What a Space shows while it has nothing to answer with: what is missing and how to mend it, in English and Portuguese."""

from __future__ import annotations

import re
from html import escape

import gradio as gr

from space.errors import InputError, classify_load_error, hub_url
from space.page.api import add_endpoints
from space.page.html import cards
from space.settings import Settings, SettingsError

TOKEN = re.compile(r"hf_\w{8,}")
WHERE = "Settings → Variables and secrets"  # on the Hub, in either language
# For each kind of problem (see space/errors.py): what is missing, and what the Space's owner does about it.
TEXT = {
    "en": {
        "title": "This Space cannot answer yet",
        "mend": "How its owner mends it",
        "again": "The Space starts again by itself when a variable or a secret changes; else restart it under Settings.",
        "gated": (
            "{variable} is set to {value}, which is handed out only to those who accepted its licence.",
            "Accept the licence at {url}. Make a token that may read it at https://huggingface.co/settings/tokens and "
            "save it under {where} as a secret named HF_TOKEN.",
        ),
        "revision": (
            "{variable} is set to {value}, which has no such revision on the Hub.",
            "Under {where}, set {revision} to a commit of {url}/commits/main, or remove it for the newest.",
        ),
        "absent": (
            "{variable} is set to {value}, which is not on the Hub, or is private.",
            "Correct {variable} under {where}. If the repository is private, save a token that may read it there as a "
            "secret named HF_TOKEN.",
        ),
        "setting": ("Some of its variables cannot be used.", "Correct them under {where}."),
        "other": (
            "What {variable} names cannot be served.",
            "Correct {variable} under {where}. If it is right, the Space's log has the details.",
        ),
        "all": "the variables",
    },
    "pt": {
        "title": "Este Space ainda não pode responder",
        "mend": "Como quem o mantém resolve",
        "again": "O Space recomeça sozinho quando uma variável ou um segredo muda; se não, reinicie-o em Settings.",
        "gated": (
            "{variable} é {value}, que só é entregue a quem aceitou a licença.",
            "Aceite a licença em {url}. Crie um token que possa lê-lo em https://huggingface.co/settings/tokens e "
            "guarde-o em {where} como um segredo chamado HF_TOKEN.",
        ),
        "revision": (
            "{variable} é {value}, que não tem essa revisão no Hub.",
            "Em {where}, ponha em {revision} um commit de {url}/commits/main, ou apague-a para usar o mais novo.",
        ),
        "absent": (
            "{variable} é {value}, que não está no Hub ou é privado.",
            "Corrija {variable} em {where}. Se o repositório é privado, guarde ali um token que possa lê-lo como um "
            "segredo chamado HF_TOKEN.",
        ),
        "setting": ("Algumas das suas variáveis não podem ser usadas.", "Corrija-as em {where}."),
        "other": (
            "Não é possível servir o que {variable} indica.",
            "Corrija {variable} em {where}. Se estiver certo, o log do Space tem os detalhes.",
        ),
        "all": "as variáveis",
    },
}

OWN_WORDS = 'In the program’s own words <span lang="pt">· Nas palavras do programa</span>'


class Missing:
    """An engine that refuses whatever it is asked, because of the same problem."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def info(self, *_) -> dict:
        """Raises InputError."""
        raise InputError("cannot_answer", problem=self.problem)

    answer = summarize = explain = search = info


def build_missing(error: Exception, settings: Settings) -> gr.Blocks:
    """Returns the page that says what `error` means for this Space; its public endpoints refuse in the error's words."""
    engine = Missing(plain(error))
    with gr.Blocks(title=cards.NAME, analytics_enabled=False) as demo:
        gr.HTML(cards.header() + page(error, settings), js_on_load=None, apply_default_css=False)
        add_endpoints(engine, settings)
    return demo.queue(max_size=settings.queue_size, api_open=False)


def plain(error: Exception) -> str:
    """Returns an error's words in one line, without a token that someone put in a variable."""
    return TOKEN.sub("hf_…", " ".join(str(error).split()))


def page(error: Exception, settings: Settings) -> str:
    """Returns what is missing, and how to mend it, as HTML: once in each language, then the variables as they are."""
    words = plain(error)
    kind = "setting" if isinstance(error, SettingsError) else classify_load_error(error)
    named = (
        {}
        if kind == "setting"
        else {
            "BASE_MODEL": settings.base_model,
            "BASE_REVISION": settings.base_revision,
            "ADAPTER": settings.adapter,
            "ADAPTER_REVISION": settings.adapter_revision,
            "CATALOGUE": settings.catalogue,
            "CATALOGUE_REVISION": settings.catalogue_revision,
        }
    )
    models = ("BASE_MODEL", "ADAPTER", "CATALOGUE")
    guilty = next((name for name in models if named.get(name) and named[name] in str(error)), "")
    if not guilty and kind != "setting":
        kind = "other"
    value = TOKEN.sub("hf_…", named.get(guilty) or "")
    columns = []
    for language, text in TEXT.items():
        what, mend = (
            sentence.format(
                variable=_code(guilty) if guilty else text["all"],
                value=_code(value),
                where=f"<b>{WHERE}</b>",
                revision=_code(guilty.replace("_MODEL", "") + "_REVISION"),
                url=hub_url(escape(value), dataset=guilty == "CATALOGUE"),
            )
            for sentence in text[kind]
        )
        columns.append(
            f'<article class="card" lang="{language}"><h2>{text["title"]}</h2><p>{what}</p>'
            f"<h3>{text['mend']}</h3><p>{_linked(mend)} {text['again']}</p></article>"
        )
    rows = "".join(
        f'<tr><th scope="row">{_code(name)}</th><td>{_code(given) if given else "–"}</td></tr>'
        for name, given in named.items()
    )
    return (
        f'<section class="missing">{"".join(columns)}<div class="own"><h3>{OWN_WORDS}</h3><p lang="en">{_code(words)}</p>'
        f"</div>{rows and f'<table>{rows}</table>'}</section>"
    )


def _code(text: str) -> str:
    return f"<code>{escape(TOKEN.sub('hf_…', text))}</code>"


def _linked(text: str) -> str:
    return re.sub(
        r"https://[^\s<]+[^\s<.]", lambda found: f'<a href="{found[0]}">{found[0]}</a>', text
    )
