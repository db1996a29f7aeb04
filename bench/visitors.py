"""Measure many visitors at once: all are answered, each with its own, and memory stays."""

from __future__ import annotations

import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from gradio_client import Client
from gradio_client.exceptions import AppError

from bench.figures import Figure, Options, Outcome
from bench.startup import SAMPLE, need_sample, running_app, served
from space.catalogue import Catalogue

VISITORS, QUESTIONS, TOKENS = 20, 5, 32
SMALL = 3  # places in the queue, where it is to be too small


def measure(options: Options) -> Outcome:
    """Let many visitors ask the sample, with room in the queue for all, then without."""
    if not options.tiny:
        need_sample()
        titles = Catalogue.open(SAMPLE / "catalogue").titles(VISITORS * QUESTIONS)
        return crowd({}, titles, VISITORS)
    from bench.shapes import make_adapter, make_base, make_catalogue

    with tempfile.TemporaryDirectory() as folder:
        base, run = make_base(Path(folder, "base"), tiny=True), Path(folder, "run")
        make_catalogue(run, 60)
        return crowd(
            served(base, run, make_adapter(run, base)),
            Catalogue.open(run / "catalogue").titles(10),
            2,
        )


def crowd(environment: dict[str, str], titles: list[str], visitors: int) -> Outcome:
    """Measure visitors who ask at the same time, and a queue that is too small for them."""
    questions = [f"What is {title}?" for title in titles]
    shares = [questions[number::visitors] for number in range(visitors)]
    with running_app({**environment, "QUEUE_SIZE": str(len(questions))}) as app:
        alone = Client(app.url, verbose=False)
        expected = {question: ask(alone, question)[0] for question in questions}
        alone_used = resident(app.pid)
        found, seconds = at_once(app.url, shares)
        # The first crowd brings threads and their arenas. What a second one adds, every one would.
        before = resident(app.pid)
        at_once(app.url, shares)
        after = resident(app.pid)
    refused, answered, words = too_many(
        {**environment, "QUEUE_SIZE": str(SMALL)}, questions[:visitors]
    )
    waits = [wait for _, _, wait in found]
    return Outcome(
        [
            Figure(
                "questions answered, of all",
                sum(answer is not None for _, answer, _ in found) / len(questions),
                low=1,
            ),
            Figure(
                "answers that are their asker's own, of all",
                sum(answer == expected[question] for question, answer, _ in found) / len(questions),
                low=1,
            ),
            Figure("all answered in", seconds, "s"),
            Figure("median wait for an answer", median(waits), "s"),
            Figure("longest wait for an answer", max(waits), "s"),
            Figure("resident memory after one visitor asked everything", alone_used / 2**20, "MiB"),
            Figure("resident memory after the crowd, of that", before / alone_used),
            Figure(
                "resident memory after a second crowd, of after the first",
                after / before,
                high=1.05,
            ),
            Figure(
                f"queue of {SMALL}: refused politely, of those not answered",
                words / max(refused, 1),
                low=1,
            ),
            Figure(f"queue of {SMALL}: answered", answered, low=1),
        ],
        {
            "visitors": visitors,
            "questions": len(questions),
            "tokens": TOKENS,
            "refused": refused,
            "waits": [round(wait, 3) for wait in waits],
        },
    )


def at_once(url: str, shares: list[list[str]]) -> tuple[list[tuple], float]:
    """Let one visitor ask each share; return what visit() found for all, and the seconds."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(len(shares)) as pool:
        found = []
        for answers in pool.map(lambda share: visit(url, share), shares):
            found += answers
    return found, time.perf_counter() - begun


def visit(url: str, questions: list[str]) -> list[tuple[str, tuple | None, float]]:
    """Ask one question after another; return (question, answer, seconds) of each."""
    client = Client(url, verbose=False)
    return [(question, *ask(client, question)) for question in questions]


def ask(client: Client, question: str) -> tuple[tuple | None, float]:
    """Ask and return ((base, tuned, uids of the sources) or None if refused, seconds)."""
    begun = time.perf_counter()
    try:
        base, tuned, sources = client.predict(question, max_new_tokens=TOKENS, api_name="/answer")
        answer = base, tuned, tuple(source["uid"] for source in sources)
    except AppError:
        answer = None
    return answer, time.perf_counter() - begun


def too_many(environment: dict[str, str], questions: list[str]) -> tuple[int, int, int]:
    """Ask all at once; count (refused, answered, refused because the queue is full)."""
    errors, start = [], threading.Barrier(len(questions))

    def one(pair: tuple[Client, str]) -> bool:
        client, question = pair
        start.wait()
        try:
            client.predict(question, max_new_tokens=TOKENS, api_name="/answer")
            return True
        except Exception as error:  # its message is what is measured
            errors.append(str(error))
            return False

    with running_app(environment) as app:
        clients = [Client(app.url, verbose=False) for _ in questions]
        with ThreadPoolExecutor(len(questions)) as pool:
            answered = sum(pool.map(one, zip(clients, questions, strict=True)))
    return len(errors), answered, sum("queue" in error.lower() for error in errors)


def resident(pid: int) -> int:
    """Read a process's resident memory in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
