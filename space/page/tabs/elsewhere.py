"""The tab Use it elsewhere: code that calls this Space and that loads its adapter."""

from __future__ import annotations

from html import escape

import gradio as gr

from space import snippets
from space.engine import Engine, Info
from space.evidence import as_count
from space.page.tabs.parts import AT_ONCE, markup
from space.settings import Settings
from space.snippets import ModelSource
from space.texts import Html, html

QUESTION = "What is new?"  # where no catalogue has a title to ask about
CAUSAL = "CAUSAL_LM"  # what PEFT calls a decoder-only base


def elsewhere_tab(engine: Engine, info: Info, settings: Settings) -> None:
    """Build the tab."""
    base = snippets.find_source(settings.base_model, info["base"], info["base_revision"])
    adapter = snippets.find_source(settings.adapter, info["adapter"], info["adapter_revision"])
    lora, question = engine.evidence().lora, (engine.examples() or [QUESTION])[0]
    here = f"http://127.0.0.1:{settings.port}"
    calls = markup(render_calls(settings.space_id, here, question))
    causal = lora.get("task_type", CAUSAL) == CAUSAL
    markup(render_loading(base, adapter, as_count(lora.get("r")), causal, question))

    def use_own_address(request: gr.Request):
        url = snippets.request_url(request.headers, here)
        return render_calls(settings.space_id, url, question)

    gr.on(None, use_own_address, None, calls, **AT_ONCE)


def render_calls(space: str | None, url: str, question: str) -> Html:
    """Render code that calls the Space by Hub id or URL."""
    parts = (
        _code("client", "elsewhere_client", snippets.client(space or url, question), "python"),
        _code("mcp", "elsewhere_mcp", snippets.mcp(url), "json"),
        _code("curl", "elsewhere_curl", snippets.curl(url, question), "sh"),
    )
    hint = f'<p class="hint">{html("elsewhere_private")}</p>'
    return _section("elsewhere_space", html("elsewhere_space_is"), hint + "".join(parts))


def render_loading(
    base: ModelSource, adapter: ModelSource, rank: int | None, causal: bool, question: str
) -> Html:
    """Render code that loads the adapter, once it is published."""
    name, parts = escape(adapter.name), []
    if adapter.on_hub:
        link = f'<a href="https://huggingface.co/{name}" rel="noopener">{name}</a>'
        lead = html("elsewhere_hub", adapter=Html(link))
    else:
        lead = html("elsewhere_local", adapter=Html(f"<code>{name}</code>"))
        parts.append(_code("publish", "elsewhere_publish", snippets.publish(adapter), "sh"))
    if causal:
        peft = snippets.peft(base, adapter, question)
        parts.append(_code("peft", "elsewhere_peft", peft, "python"))
        vllm = snippets.vllm(base, adapter, rank or 16)
        parts.append(_code("vllm", "elsewhere_vllm", vllm, "sh"))
        llama_cpp = snippets.llama_cpp(base, adapter)
        parts.append(_code("llama_cpp", "elsewhere_llama_cpp", llama_cpp, "sh"))
    else:
        parts.append(f'<p class="hint">{html("elsewhere_encoder")}</p>')
    return _section("elsewhere_adapter", lead, "".join(parts))


def _section(title: str, lead: Html, body: str) -> Html:
    return Html(
        f'<section class="elsewhere"><h2>{html(title)}</h2><p class="gist">{lead}</p>{body}'
        "</section>"
    )


def _code(name: str, title: str, code: str, language: str) -> str:
    """Render code with its title and a button that copies it."""
    heading = html(title)
    return (
        f'<figure class="code"><figcaption><h3>{heading}</h3>'
        f'<button type="button" class="copy" data-copy="code-{name}">'
        f'<span class="todo">{html("copy")}</span><span class="done">{html("copied")}</span>'
        f'<span class="spoken"> {heading}</span></button>'
        '<span class="spoken" role="status"></span></figcaption><pre tabindex="0">'
        f'<code id="code-{name}" class="{language}">{escape(code)}</code></pre></figure>'
    )
