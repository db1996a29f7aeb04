"""space/page/votes.py: one vote a ballot, the win rate's interval, and files that lose no
acknowledged vote.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from gradio.context import LocalContext
from huggingface_hub.errors import HfHubHTTPError

from space.errors import InputError
from space.page import votes as module
from space.page.votes import (
    Ballot,
    Tally,
    Votes,
    VotesError,
    current_address,
    make_vote,
    open_votes,
    read_votes,
    wilson,
)
from space.settings import Settings
from tests.fake_engine import INFO
from tests.train.fit.test_full_disk import room_for

ROOT = Path(__file__).resolve().parents[3]


def vote(number=0, verdict="tuned", **changes) -> dict:
    ballot = Ballot(
        f"Pergunta {number}: o lampião 🏮?\u2028<b>",
        {"temperature": 0.0},
        answers={"base": "a\nb", "tuned": "ç"},
    )
    return make_vote(ballot, verdict, INFO | changes)


def kept(folder: Path) -> list[dict]:
    return [line for path in sorted(folder.glob("votes-*.jsonl")) for line in read_votes(path)]


# --- what votes say ---


@pytest.mark.parametrize(
    ("wins", "count", "low", "high"),
    [
        (0, 10, 0.0, 0.27753),  # z²/(n + z²) = 3.84146/13.84146
        (10, 10, 0.72247, 1.0),
        (1, 1, 0.20655, 1.0),  # 1/(1 + z²)
        (5, 10, 0.23659, 0.76341),  # .5 ± z·sqrt((.025 + z²/400)/(1 + z²/10)²)
        (81, 263, 0.25525, 0.36621),  # Newcombe 1998, table I: .2553 to .3662
    ],
)
def test_the_interval_is_wilsons(wins, count, low, high):
    assert wilson(wins, count) == pytest.approx((low, high), abs=1e-4)


def test_a_tally_counts_and_does_not_change():
    tally = Tally().plus("tuned").plus("tuned").plus("base").plus("tie").plus("both_bad")
    assert tally == Tally(base=1, tuned=2, tie=1, both_bad=1)
    assert tally.decided == 3 and tally.plus("base").decided == 4 and tally.decided == 3


# --- one pair, one vote ---


def test_either_answer_may_stand_first_and_the_verdict_knows_which():
    orders = Counter(Ballot("?").order for _ in range(400))
    assert set(orders) == {("base", "tuned"), ("tuned", "base")} and min(orders.values()) > 130
    pair = Ballot("?", order=("tuned", "base"), answers={"base": "one", "tuned": "two"})
    assert pair.columns() == ("two", "one")
    assert [pair.verdict(choice) for choice in module.CHOICES] == [
        "tuned",
        "base",
        "tie",
        "both_bad",
    ]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"ended": False}, "vote_early"),
        ({"choice": "a"}, "vote_twice"),
        ({"made": -module.LIFETIME}, "vote_late"),
    ],
)
def test_what_cannot_be_voted_on_is_refused_and_not_kept(changes, key, monkeypatch):
    monkeypatch.setattr(module.time, "monotonic", lambda: 1.0)
    lines, pair = [], replace(Ballot("?", ended=True), **changes)
    with pytest.raises(InputError) as caught:
        pair.vote("b", lines.append)
    assert caught.value.key == key and not lines


def test_of_many_votes_at_once_one_counts():
    lines, pair = [], Ballot("?", ended=True)

    def keep(verdict):
        time.sleep(0.02)
        lines.append(verdict)

    def cast(_):
        try:
            return pair.vote("tie", keep)
        except InputError as error:
            return error.key

    with ThreadPoolExecutor(16) as pool:
        assert Counter(pool.map(cast, range(64))) == {"tie": 1, "vote_twice": 63}
    assert lines == ["tie"]


def test_a_vote_that_could_not_be_kept_can_be_cast_again():
    pair = Ballot("?", ended=True)
    with pytest.raises(OSError):
        pair.vote("tie", lambda verdict: (_ for _ in ()).throw(OSError("full")))
    assert pair.vote("tie") == "tie"


# --- files ---


def test_a_vote_is_one_line_that_says_all_that_was_promised_and_nothing_else(tmp_path):
    votes = Votes(tmp_path)
    votes.keep(vote(1))
    (path,) = tmp_path.iterdir()
    line, end = path.read_bytes().split(b"\n")
    assert not end and path.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(line)) == {
        "time",
        "verdict",
        "question",
        "base_answer",
        "tuned_answer",
        "first",
        "temperature",
        "base",
        "base_revision",
        "adapter",
        "adapter_revision",
        "precision",
        "version",
    }
    assert json.loads(line)["question"] == "Pergunta 1: o lampião 🏮?\u2028<b>"
    votes.close()


def test_nothing_is_written_before_the_first_vote_nor_without_a_setting(tmp_path):
    assert open_votes(Settings()) is None
    votes = open_votes(Settings(votes_dir=str(tmp_path / "a" / "b")))
    assert list((tmp_path / "a" / "b").iterdir()) == [] and votes.tally(INFO) == Tally()


def test_many_at_once_make_whole_lines_in_a_file_that_changes_with_each(tmp_path):
    votes, stamps = Votes(tmp_path), []

    def keep(number):
        votes.keep(vote(number))
        stamps.append(next(tmp_path.iterdir()).stat().st_mtime)

    for number in range(20):
        keep(number)
    assert len(set(stamps)) == 20, "the scheduler tells by its time whether a file has changed"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, range(20, 200)))
    assert len(kept(tmp_path)) == 200 and votes.tally(INFO) == Tally(tuned=200)
    votes.close()


def test_votes_between_other_models_are_not_counted_with_ours(tmp_path):
    votes = Votes(tmp_path)
    for line in (vote(), vote(verdict="tie"), vote(verdict="base", adapter_revision="other")):
        votes.keep(line)
    for reader in (votes, Votes(tmp_path)):
        assert reader.tally(INFO) == Tally(tuned=1, tie=1)
        assert reader.tally(INFO | {"adapter_revision": "other"}) == Tally(base=1)
    votes.close()


KEEPER = """
import sys
from pathlib import Path
from space.page.votes import Votes
from tests.space.page.test_votes import vote
votes, number = Votes(Path(sys.argv[1])), 0
while True:
    votes.keep(vote(number))
    print(number, flush=True)
    number += 1
"""


def test_a_killed_program_loses_no_vote_that_it_acknowledged(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    acknowledged = [int(process.stdout.readline()) for _ in range(30)]
    os.kill(process.pid, signal.SIGKILL)
    acknowledged += map(int, process.stdout.read().split())
    assert process.wait() == -signal.SIGKILL
    numbers = [int(line["question"].split()[1].strip(":")) for line in kept(tmp_path)]
    assert numbers[: len(acknowledged)] == acknowledged
    assert len(numbers) - len(acknowledged) in (0, 1)  # one more was written, and not said yet


@pytest.mark.parametrize("length", [40, None])  # None: all of it but the line's end
def test_half_a_line_of_a_crash_is_passed_over_and_nothing_is_added_to_it(tmp_path, length):
    before = Votes(tmp_path)
    before.keep(vote(1))
    (crashed,) = tmp_path.iterdir()
    with crashed.open("ab") as file:
        file.write(json.dumps(vote(2)).encode()[:length])
    torn = crashed.read_bytes()
    odd = b'[]\n\xff\n{"verdict": "mine"}\n{"verdict": []}\n{"verdict": "tie", "base": []}\n'
    (tmp_path / "votes-odd.jsonl").write_bytes(odd)
    after = Votes(tmp_path)
    assert after.tally(INFO) == Tally(tuned=1)
    after.keep(vote(3, "tie"))
    assert crashed.read_bytes() == torn and len(list(tmp_path.iterdir())) == 3
    assert Votes(tmp_path).tally(INFO) == Tally(tuned=1, tie=1)
    before.close(), after.close()


def test_on_a_full_disk_a_vote_is_refused_whole_and_the_next_one_kept(tmp_path):
    votes = Votes(tmp_path)
    votes.keep(vote(1))
    with (
        room_for(next(tmp_path.iterdir()).stat().st_size + 50),
        pytest.raises(OSError, match="no room"),
    ):
        votes.keep(vote(2))
    votes.keep(vote(3, "base"))
    assert {line["question"].split()[1] for line in kept(tmp_path)} == {"1:", "3:"} and len(
        kept(tmp_path)
    ) == 2
    assert all(path.read_bytes().endswith(b"}\n") for path in tmp_path.iterdir())
    assert votes.tally(INFO) == Votes(tmp_path).tally(INFO) == Tally(tuned=1, base=1)
    votes.close()


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        VotesError, match=r"^VOTES_DIR is .*/file/votes: .*; name a folder that can be written$"
    ):
        Votes(tmp_path / "file" / "votes")


# --- the Hub ---


def send(votes: Votes) -> None:
    """Send what is new now, as the scheduler does every few minutes."""
    votes._scheduler.trigger().result()


def on_the_hub(hub, repo="ana/votes") -> list[dict]:
    files = [
        content
        for name, content in hub.repo(repo, "datasets").files.items()
        if name.startswith("votes-")
    ]
    return [json.loads(line) for content in files for line in content.splitlines()]


def test_votes_go_to_a_private_dataset_and_come_back_on_another_disk(hub, tmp_path):
    votes = open_votes(Settings(votes_dir=str(tmp_path / "here"), votes_repo="ana/votes"))
    repo = hub.repo("ana/votes", "datasets")
    assert repo.private and votes.private
    (tmp_path / "here" / "notes.txt").write_text("not a vote")
    votes.keep(vote(1))
    send(votes)
    votes.keep(vote(2, "both_bad"))
    send(votes)
    assert on_the_hub(hub) == kept(tmp_path / "here") and len(on_the_hub(hub)) == 2
    assert {name.split("-")[0] for name in repo.files} == {".gitattributes", "votes"}
    commits = len(repo.commits)
    send(votes)
    assert len(repo.commits) == commits, "nothing new, no commit"
    again = Votes(tmp_path / "there", "ana/votes")
    assert again.tally(INFO) == Tally(tuned=1, both_bad=1)
    again.keep(vote(3, "base"))
    send(again)
    assert len(on_the_hub(hub)) == 3 and len(hub.repo("ana/votes", "datasets").files) == 3
    votes.close(), again.close()


def test_what_could_not_be_sent_is_sent_later(hub, tmp_path):
    votes = Votes(tmp_path, "ana/votes")
    votes.keep(vote(1))
    hub.fail("POST", "/commit/", 403)
    with pytest.raises(HfHubHTTPError):
        send(votes)
    assert kept(tmp_path) and not on_the_hub(hub)
    send(votes)
    assert len(on_the_hub(hub)) == 1
    votes.close()


def test_a_public_dataset_is_known_as_one_and_a_strangers_is_refused_in_one_line(hub, tmp_path):
    hub.create("ana/open", "datasets")
    votes = Votes(tmp_path, "ana/open")
    assert not votes.private
    votes.close()
    with pytest.raises(
        VotesError,
        match=r"^VOTES_REPO is bob/votes: .*HF_TOKEN must be a token that may write to this ",
    ):
        Votes(tmp_path, "bob/votes")


def test_a_forged_header_makes_no_other_voter():
    """Only a trusted proxy's header counts, and uvicorn has read that one before."""
    headers = {"x-forwarded-for": "198.51.100.1"}
    caller = SimpleNamespace(client=SimpleNamespace(host="203.0.113.7"), headers=headers)
    before = LocalContext.request.set(caller)  # pyright: ignore[reportArgumentType]
    try:
        assert current_address() == "203.0.113.7"
    finally:
        LocalContext.request.reset(before)
