"""Try a chat template in a bounded process before this one renders it."""

from __future__ import annotations

import functools
import json
import subprocess
import sys

from space.errors import ModelError

CPU_SECONDS, SECONDS = 5, 60  # for all renderings; the second counts waiting for a busy machine too
MEMORY = 2**30  # bytes
CHARACTERS = 200_000  # of a template, and of what it renders
# Prompts are rendered with marks in place of contents, so that a rendering depends on the number of
# messages alone (prompt.py). Templates of transformers may use these names and tags.
TRY_TEMPLATE = r"""
import json, re, sys
template, most, cpu, memory = json.load(sys.stdin)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
except (ImportError, ValueError, OSError):
    pass
import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

def refuse(message):
    raise jinja2.TemplateError(message)

def tojson(value, **options):
    return json.dumps(value, ensure_ascii=False, indent=options.get("indent"))

environment = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
)
environment.filters["tojson"] = tojson
environment.globals.update(raise_exception=refuse, strftime_now=lambda form: form)
compiled = environment.from_string(re.sub(r"\{%-?\s*(?:end)?generation\s*-?%\}", "", template))
tokens = {name: "<t>" for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
for count in (1, 2, 3, 5, 9, 16, 17, 32, 33, 64, 65):
    roles = ["user", "assistant"] * count
    messages = [{"role": role, "content": "words"} for role in roles[:count]]
    try:
        text = compiled.render(
            messages=messages, add_generation_prompt=count % 2 == 1, tools=None, documents=None,
            **tokens,
        )
    except MemoryError:
        raise
    except Exception:
        continue
    if len(text) > most:
        sys.exit("long")
"""


@functools.lru_cache(maxsize=32)
def check_chat_template(what: str, template: str) -> None:
    """Raise ModelError for a template that is broken, slow or large.

    One that refuses some conversation is fine: the prompt's builder will say so.
    """
    problem = f"has {len(template):,} characters, of at most {CHARACTERS:,}"
    if len(template) <= CHARACTERS:
        command = [sys.executable, "-I", "-c", TRY_TEMPLATE]
        text = json.dumps([template, CHARACTERS, CPU_SECONDS, MEMORY])
        problem = f"takes over {CPU_SECONDS} s, or too much memory, to render"
        try:
            done = subprocess.run(
                command, input=text, text=True, capture_output=True, timeout=SECONDS, env={}
            )
            if done.returncode == 0:
                return
            lines = done.stderr.strip().splitlines()
            if lines and "TemplateSyntaxError" in lines[-1]:
                problem = f"is no template: {lines[-1].split(': ', 1)[-1]}"
        except subprocess.TimeoutExpired:
            pass
    raise ModelError(f"{what}: its chat template {problem}: use one that is simpler")
