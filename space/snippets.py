"""Code to copy, with this Space's and this adapter's real names in it: calling the one, loading the other."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM makes room for
HOST = re.compile(r"[A-Za-z0-9.\-_]{1,253}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")


@dataclass(frozen=True)
class Place:
    """Where a model is loaded from: a Hub id and its commit, or a folder."""

    name: str
    revision: str | None = None

    @property
    def on_hub(self) -> bool:
        """Whether anyone can load it by its name."""
        return self.revision is not None

    @property
    def pinned(self) -> str:
        """Its commit as an argument of Python."""
        return f", revision={json.dumps(self.revision)}" if self.revision else ""


def place(source: str, name: str, revision: str | None) -> Place:
    """Returns where `source`, as the settings name it, is loaded from; `name` and `revision` are what was loaded.

    Of a folder only the part below the one that the program runs in is told, or else its own name.
    """
    if revision and not revision.startswith("sha256:"):
        return Place(name, revision)
    folder = Path(source).resolve()
    if folder.is_relative_to(Path.cwd()):
        return Place(folder.relative_to(Path.cwd()).as_posix())
    return Place("/".join(folder.parts[-2:]))


def address(headers: Mapping[str, str], otherwise: str) -> str:
    """Returns the URL at which a page was opened, from its request's headers; `otherwise` where they name no host."""
    host = headers.get("x-forwarded-host", headers.get("host", "")).split(",")[0].strip()
    if not HOST.fullmatch(host):
        return otherwise
    secure = headers.get("x-forwarded-proto", "http").split(",")[
        0
    ].strip() == "https" or host.endswith(".hf.space")
    return f"{'https' if secure else 'http'}://{host}"


def client(space: str, question: str) -> str:
    """Returns Python that asks a Space, an id or a URL, with gradio_client."""
    return f"""from gradio_client import Client

client = Client({_python(space)})
job = client.submit({_python(question)}, api_name="/answer")
for base, tuned, sources in job:
    print(tuned)  # grows
base, tuned, sources = job.result()  # raises what went wrong
print([source["title"] for source in sources])"""


def curl(url: str, question: str) -> str:
    """Returns two calls of curl: the first one asks, the second one streams the answers."""
    body = shlex.quote(json.dumps({"question": question}, ensure_ascii=False))
    return f"""URL={shlex.quote(url)}/gradio_api/call/v2/answer
EVENT=$(curl -s "$URL" -H 'Content-Type: application/json' \\
  -d {body} | cut -d '"' -f 4)
curl -sN "$URL/$EVENT" """.rstrip()


def mcp(url: str) -> str:
    """Returns the entry of an assistant's configuration that gives it the Space's tools."""
    return json.dumps({"mcpServers": {"shelftalk": {"url": f"{url}/gradio_api/mcp/"}}}, indent=2)


def peft(base: Place, adapter: Place, question: str) -> str:
    """Returns Python that loads base and adapter with peft and transformers, and asks them."""
    return f"""from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained({_python(base.name)}{base.pinned},
                                            dtype="bfloat16", device_map="auto")
tokenizer = AutoTokenizer.from_pretrained({_python(adapter.name)}{adapter.pinned})
model = PeftModel.from_pretrained(base, {_python(adapter.name)}{adapter.pinned})
chat = [dict(role="user", content={_python(question)})]
ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt",
                                    return_dict=True).to(model.device)
said = model.generate(**ids, max_new_tokens=120, do_sample=False)[0, ids["input_ids"].shape[1]:]
print(tokenizer.decode(said, skip_special_tokens=True))"""


def vllm(base: Place, adapter: Place, rank: int) -> str:
    """Returns the shell's commands that serve base and adapter with vLLM."""
    commit = f" --revision {shlex.quote(base.revision)}" if base.revision else ""
    if adapter.on_hub:
        got = f"$(hf download {shlex.quote(adapter.name)} --revision {shlex.quote(adapter.revision)} --quiet)"
    else:
        got = shlex.quote(adapter.name)
    return f"""ADAPTER={got}
vllm serve {shlex.quote(base.name)}{commit} \\
  --enable-lora --max-lora-rank {room(rank)} --lora-modules tuned=$ADAPTER \\
  --chat-template $ADAPTER/chat_template.jinja"""


def room(rank: int) -> int:
    """Returns the least --max-lora-rank of vLLM that an adapter of a rank fits in."""
    return next((room for room in RANKS if room >= rank), RANKS[-1])


def publish(adapter: Place) -> str:
    """Returns the command that sends a run, of which `adapter` is the folder, to the Hub; the sample's run is made first."""
    run = Path(adapter.name).parent.as_posix()
    if run.endswith("space/sample"):
        return "python -m train sample --run runs/sample\npython -m train publish --run runs/sample --to USER/sample"
    return (
        f"python -m train publish --run {shlex.quote(run)} --to USER/{shlex.quote(Path(run).name)}"
    )


def _python(text: str) -> str:
    """Returns a text as Python writes it in double quotes."""
    return json.dumps(text, ensure_ascii=False)
