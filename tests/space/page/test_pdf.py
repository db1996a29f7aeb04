"""space/page/pdf.py: a PDF's text, read in a process with neither time, memory nor secrets."""

import os
import subprocess
import sys

import pytest

from space.errors import InputError
from space.page import pdf as module
from space.page.uploads import read_upload
from tests.pdfs import pdf


def refused(data, limit=1000) -> str:
    with pytest.raises(InputError) as caught:
        read_upload(data, limit)
    assert "\n" not in str(caught.value)
    return caught.value.key


def in_a_process(code: str) -> subprocess.CompletedProcess:
    """Run code where `module` is the program that reads a PDF, as it is started."""
    start = f"import runpy; module = runpy.run_path({module.__file__!r}); "
    return subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True)


def test_a_pdf_is_read_page_by_page():
    upload = read_upload(pdf(["The lamp is brass.", "It weighs 3 kg."], ["É de latão."]), 1000)
    assert (
        upload.text == "The lamp is brass.\nIt weighs 3 kg.\n\nÉ de latão." and upload.notes == ()
    )


def test_a_long_pdf_is_read_as_far_as_there_is_room():
    upload = read_upload(pdf(["a" * 40], ["b" * 40], ["c"]), 60)
    assert upload.text == "a" * 40 + "\n\n" + "b" * 18
    assert upload.notes == (("upload_pages", {"read": 2, "pages": 3, "limit": 60}),)


def test_a_pdf_that_only_its_owner_may_change_is_read():
    assert read_upload(pdf(["oak"], password="", owner="secret"), 100).text == "oak"


def test_pdfs_that_cannot_be_read_are_refused():
    whole = pdf(["oak"])
    assert refused(pdf(["oak"], password="secret")) == "upload_locked"
    assert refused(whole[:200]) == refused(b"%PDF-1.7\n" + os.urandom(3000)) == "upload_broken"
    assert refused(pdf([], [])) == "upload_scan"


def test_a_pdf_gets_neither_more_time_nor_memory_nor_secrets(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    calls, run = [], subprocess.run

    def record(*args, **options):
        calls.append(options)
        return run(*args, **options)

    monkeypatch.setattr(module.subprocess, "run", record)
    read_upload(pdf(["oak"]), 10)
    assert set(calls[0]["env"]) == {"PYTHONPATH"} and calls[0]["timeout"] == module.SECONDS
    monkeypatch.setattr(module, "SECONDS", 0.01)
    assert refused(pdf(["oak"])) == "upload_slow"
    if sys.platform == "linux":
        assert (
            "MemoryError"
            in in_a_process(f"module['limit_memory'](); bytearray({3 * 2**30})").stderr
        )


def test_the_process_loads_neither_torch_nor_gradio():
    code = "import sys; print({'torch', 'gradio', 'transformers', 'huggingface_hub'} & set(sys.modules))"  # noqa: E501
    assert in_a_process(code).stdout == "set()\n"
