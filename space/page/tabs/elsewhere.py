"""The tab with code to copy: the Space called from a program, an assistant or a shell, and the adapter loaded elsewhere."""

from __future__ import annotations

from html import escape

import gradio as gr

from space import snippets
from space.evidence import as_count
from space.page.tabs.parts import QUIET, markup
from space.settings import Settings
from space.snippets import ModelSource
from space.texts import Html, html

QUESTION = "What is new?"  # where no catalogue has a title to ask about
CAUSAL = "CAUSAL_LM"  # what PEFT calls a decoder-only base


def elsewhere_tab(engine, info: dict, settings: Settings) -> None:
    base = snippets.find_source(settings.base_model, info["base"], info["base_revision"])
    adapter = snippets.find_source(settings.adapter, info["adapter"], info["adapter_revision"])
    lora, question = engine.evidence().lora, (engine.examples() or [QUESTION])[0]
    here = f"http://127.0.0.1:{settings.port}"
    called = markup(calling(settings.space_id, here, question))
    markup(
        loading(
            base,
            adapter,
            as_count(lora.get("r")),
            lora.get("task_type", CAUSAL) == CAUSAL,
            question,
        )
    )

    def opened(request: gr.Request):
        return calling(settings.space_id, snippets.request_url(request.headers, here), question)

    gr.on(None, opened, None, called, queue=False, **QUIET)


def calling(space: str | None, url: str, question: str) -> Html:
    """Returns how the Space is called: `space` is its id, where it is one on the Hub, and `url` where the page was opened."""
    parts = (
        _code("client", "elsewhere_client", snippets.client(space or url, question), "python"),
        _code("mcp", "elsewhere_mcp", snippets.mcp(url), "json"),
        _code("curl", "elsewhere_curl", snippets.curl(url, question), "sh"),
    )
    return Html(
        f'<section class="elsewhere"><h2>{html("elsewhere_space")}</h2><p class="gist">{html("elsewhere_space_is")}</p>'
        f'<p class="hint">{html("elsewhere_private")}</p>{"".join(parts)}</section>'
    )


def loading(
    base: ModelSource, adapter: ModelSource, rank: int | None, causal: bool, question: str
) -> Html:
    """Returns how the adapter is loaded in other programs; one that only is in a folder here is published first."""
    parts = []
    if adapter.on_hub:
        link = Html(
            f'<a href="https://huggingface.co/{escape(adapter.name)}" rel="noopener">{escape(adapter.name)}</a>'
        )
        lead = html("elsewhere_hub", adapter=link)
    else:
        lead = html("elsewhere_local", adapter=Html(f"<code>{escape(adapter.name)}</code>"))
        parts.append(_code("publish", "elsewhere_publish", snippets.publish(adapter), "sh"))
    if causal:
        parts.append(
            _code("peft", "elsewhere_peft", snippets.peft(base, adapter, question), "python")
        )
        parts.append(
            _code("vllm", "elsewhere_vllm", snippets.vllm(base, adapter, rank or 16), "sh")
        )
    else:
        parts.append(f'<p class="hint">{html("elsewhere_encoder")}</p>')
    return Html(
        f'<section class="elsewhere"><h2>{html("elsewhere_adapter")}</h2><p class="gist">{lead}</p>{"".join(parts)}'
        "</section>"
    )


def _code(name: str, title: str, code: str, language: str) -> str:
    """Returns code with what it is for, and a button that copies it."""
    return (
        f'<figure class="code"><figcaption><h3>{html(title)}</h3>'
        f'<button type="button" class="copy" data-copy="code-{name}">'
        f'<span class="todo">{html("copy")}</span><span class="done">{html("copied")}</span><span class="spoken"> '
        f'{html(title)}</span></button><span class="spoken" role="status"></span></figcaption>'
        f'<pre tabindex="0"><code id="code-{name}" class="{language}">{escape(code)}</code></pre></figure>'
    )
