"""space/page/tabs/parts.py: what the page answers itself."""

from space.page.tabs.parts import is_small_talk
from tests.fake_engine import RECORDS, FakeEngine


def test_a_record_with_such_a_title_is_asked_for():
    assert is_small_talk(FakeEngine(), "Hello!")
    assert is_small_talk(FakeEngine(records=[]), "2+2?")
    assert not is_small_talk(FakeEngine(records=[{**RECORDS[0], "title": "HELLO"}]), " Hello ")
