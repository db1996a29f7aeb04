"""The tab that sums a text up, over real HTTP: what is sent is read, cut or refused in words, and
nothing of it stays.
"""

import json
import tempfile
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import gradio as gr
import pytest

from space.page.ui import build_demo
from space.settings import UPLOAD_LIMIT, Settings
from space.texts import words
from tests.fake_engine import RECORDS, FakeEngine
from tests.languages import visible_text
from tests.pdfs import pdf
from tests.serving import serving_demo

LIMIT = 2000  # characters


class Page:
    """What the browser does with the tab, without one."""

    def __init__(self, demo: gr.Blocks, folder: Path) -> None:
        self.url, self.folder, self.config, self.session = (
            demo.local_url,
            folder,
            demo.config,
            uuid.uuid4().hex,
        )

    def send(self, name: str, data: bytes) -> str:
        """Sends a file as the upload's button does; returns where it is then."""
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'  # noqa: E501
        body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
        request = urllib.request.Request(
            f"{self.url}gradio_api/upload",
            body,
            {"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)[0]

    def fire(self, kind: str, event: str, data: list, named: str = "") -> dict:
        """Fires the last step of an event of the first part of a kind[, with a label]; returns its
        output.
        """
        part = next(
            one["id"]
            for one in self.config["components"]
            if one["type"] == kind
            and named in str(one["props"].get("label", one["props"].get("value", "")))
        )
        number = next(
            one["id"]
            for one in self.config["dependencies"]
            if (part, event) in map(tuple, one["targets"])
        )
        number = next(
            (
                one["id"]
                for one in self.config["dependencies"]
                if one["trigger_after"] == number and one["trigger_only_on_success"]
            ),
            number,
        )
        body = {
            "data": data,
            "fn_index": number,
            "session_hash": self.session,
            "trigger_id": part,
            "event_data": None,
        }
        request = urllib.request.Request(
            f"{self.url}gradio_api/queue/join",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=30).close()
        with urllib.request.urlopen(
            f"{self.url}gradio_api/queue/data?session_hash={self.session}", timeout=30
        ) as stream:
            for line in stream:
                message = json.loads(line[5:]) if line.startswith(b"data:") else {}
                if message.get("msg") == "process_completed":
                    return message["output"]
        raise AssertionError("the stream ended without an answer")

    def upload(self, name: str, data: bytes) -> dict:
        path = self.send(name, data)
        return self.fire(
            "uploadbutton", "upload", [{"path": path, "meta": {"_type": "gradio.FileData"}}]
        )

    def kept(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(engine, page) of a fake engine; gradio keeps what is sent in a folder of its own."""
    folder = tmp_path_factory.mktemp("sent")
    engine = FakeEngine(delay=0, limit=LIMIT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        with serving_demo(engine, max_input_chars=LIMIT) as demo:
            yield engine, Page(demo, folder)


@pytest.fixture
def page(served):
    return served[1]


def refused(output: dict) -> str:
    return visible_text(output["error"])


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("lamp.txt", "A lâmpada é de latão.".encode(), "A lâmpada é de latão."),
        ("../../x", b"# Oak\r\n- <b>3.5</b>", "# Oak\n- <b>3.5</b>"),
        ("..%2f..%2fx.md", b"Oak.", "Oak."),
        ("<img src=x onerror=alert(1)>.txt", b"Oak.", "Oak."),
        ("a lamp.pdf", pdf(["It is brass."], ["Pesa 3,5 kg."]), "It is brass.\n\nPesa 3,5 kg."),
    ],
)
def test_a_file_is_read_into_the_box_and_nothing_of_it_stays(page, name, data, text):
    outside = set(Path(tempfile.gettempdir()).iterdir()) | set(page.folder.parent.iterdir())
    box, note, button = page.upload(name, data)["data"]
    assert box == text and button is None
    assert (
        f"The file was read: {len(text.split())} words, {len(text)} characters."
        in visible_text(note)
        and "img" not in note
    )
    assert page.kept() == []
    new = {
        path.name
        for path in (set(Path(tempfile.gettempdir()).iterdir()) | set(page.folder.parent.iterdir()))
        - outside
    }
    assert not new & {"x", "x.md"}


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"", "upload_empty"),
        (b"\x7fELF\x02\0\0", "upload_binary"),
        (pdf(["oak"])[:150], "upload_broken"),
        (pdf(["oak"], password="secret"), "upload_locked"),
        (pdf([]), "upload_scan"),
    ],
)
def test_what_cannot_be_read_is_refused_in_both_languages_and_nothing_of_it_stays(page, data, key):
    output = page.upload("lamp.txt", data)
    assert refused(output) == words(key) and visible_text(output["error"], "pt") == words(key, "pt")
    assert page.kept() == []


def test_a_long_file_is_cut_and_a_guess_is_told(page):
    box, note, _ = page.upload("long.txt", b"\xe9 " * LIMIT)["data"]
    assert len(box) == LIMIT and words("upload_guessed") in visible_text(note)
    assert words("upload_cut", limit=LIMIT, cut=LIMIT - 1) in visible_text(note)


def test_a_file_past_the_limit_is_not_taken_at_all(page):
    with pytest.raises(urllib.error.HTTPError) as caught:
        page.send("large.txt", b"x" * (UPLOAD_LIMIT + 1))
    assert caught.value.code == 413 and page.kept() == []


def test_a_file_that_nobody_sent_is_not_read(page):
    for path in ("/etc/passwd", str(Path(__file__)), str(page.folder / "0a" / "gone.txt")):
        output = page.fire(
            "uploadbutton", "upload", [{"path": path, "meta": {"_type": "gradio.FileData"}}]
        )
        assert output.get("error") and "root:" not in json.dumps(output)


def test_a_record_of_the_catalogue_goes_into_the_box(page, served):
    dataset, _, none = page.fire("textbox", "submit", ["lantern"], "pick_search")["data"]
    assert (
        dataset["samples"] == [[record["title"]] for record in RECORDS]
        and dataset["visible"]
        and not none
    )
    box, note = page.fire("dataset", "click", [2, None], "pick_found")["data"]
    assert (
        box == RECORDS[2]["content"]
        and f"“{RECORDS[2]['title']}”" in visible_text(note)
        and "<12 inch>" not in note
    )
    assert "query is empty" in refused(page.fire("textbox", "submit", [" "], "pick_search"))
    served[0].records = []
    dataset, _, none = page.fire("textbox", "submit", ["nothing"], "pick_search")["data"]
    assert not dataset["visible"] and visible_text(none) == words("pick_none")
    served[0].records = RECORDS


def test_without_a_catalogue_there_is_no_search():
    shown = [
        part["props"]["visible"]
        for part in build_demo(FakeEngine(), Settings(catalogue=None)).config["components"]
        if "pick_record" in str(part["props"].get("label"))
    ]
    assert shown == [False]
