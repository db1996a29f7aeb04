"""space/page/uploads.py: a file is read once as text, or refused in one sentence."""

import os

import pytest

from space.errors import InputError
from space.page.uploads import read_upload, take_upload
from space.settings import UPLOAD_LIMIT

PORTUGUESE = "Uma lâmpada de latão: é “bonita”."


def refused(data, limit=1000) -> str:
    with pytest.raises(InputError) as caught:
        read_upload(data, limit)
    assert "\n" not in str(caught.value)
    return caught.value.key


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_text_is_read_as_it_says(encoding):
    upload = read_upload(PORTUGUESE.encode(encoding), 1000)
    assert (upload.text, upload.notes) == (PORTUGUESE, ())


def test_a_text_that_does_not_say_is_guessed_and_that_is_told():
    assert read_upload(PORTUGUESE.encode("cp1252"), 1000).text == PORTUGUESE
    for data in (PORTUGUESE.encode("cp1252"), b"\x81 \xe9"):
        assert read_upload(data, 1000).notes == (("upload_guessed", {}),)


def test_markdown_and_html_stay_what_they_are():
    assert read_upload(b"# A\r\n\r\n- <b>b</b>\r", 1000).text == "# A\n\n- <b>b</b>"


def test_a_long_text_is_cut_and_that_is_told():
    assert read_upload(b"x" * 1000, 1000).notes == ()
    upload = read_upload(b"x" * 1001, 1000)
    assert upload.text == "x" * 1000 and upload.notes == (
        ("upload_cut", {"cut": 1, "limit": 1000}),
    )


@pytest.mark.parametrize("data", [b"", b" \n\t", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_file_is_refused(data):
    assert refused(data) == "upload_empty"


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n\0\0",
        b"PK\x03\x04 and more",
        b"text\0text",
        b"\xff\xfe\x00\xd8",
        os.urandom(5000),
    ],
    ids=["png", "zip", "nul", "half", "noise"],
)
def test_what_is_no_text_is_refused_whatever_it_is_called(data):
    assert refused(data) == "upload_binary"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sent" / "0a1b").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path / "sent"


def test_a_file_is_gone_once_it_is_read(folder):
    file = folder / "0a1b" / "lamp.txt"
    file.write_text("oak")
    assert take_upload({"path": str(file)}, folder) == b"oak" and not list(folder.iterdir())
    with pytest.raises(InputError, match="again"):
        take_upload({"path": str(file)}, folder)


def test_another_visitors_file_of_the_same_content_stays(folder):
    for name in ("a.txt", "b.txt"):
        (folder / "0a1b" / name).write_text("oak")
    take_upload({"path": str(folder / "0a1b" / "a.txt")}, folder)
    assert [path.name for path in folder.rglob("*.txt")] == ["b.txt"]


def test_a_large_file_is_refused_and_gone(folder):
    file = folder / "0a1b" / "large.txt"
    file.write_bytes(b"")
    os.truncate(file, UPLOAD_LIMIT + 1)
    with pytest.raises(InputError, match="larger than 10 MB"):
        take_upload({"path": str(file)}, folder)
    assert not file.exists()


def test_nothing_but_what_was_sent_is_read(folder):
    link = folder / "0a1b" / "link.txt"
    link.symlink_to(folder.parent / "secret.txt")
    for sent in (
        None,
        {},
        "x",
        {"path": 5},
        {"path": ""},
        {"path": "/etc/passwd"},
        {"path": str(folder)},
        {"path": str(link)},
        {"path": str(folder / "0a1b" / ".." / ".." / "secret.txt")},
        {"path": str(folder / "0a1b")},
        {"path": "\0"},
    ):
        with pytest.raises(InputError, match="again"):
            take_upload(sent, folder)
    assert (folder.parent / "secret.txt").exists()
