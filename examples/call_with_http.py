"""Ask a Shelftalk Space over plain HTTP with the standard library; any language can do this.

    python call_with_http.py http://127.0.0.1:7860 "Brigsteer Paring Knife"
    HF_TOKEN=hf_... python call_with_http.py https://user-space.hf.space "Brigsteer Paring Knife"

A call is two requests. The POST sends the arguments by name and returns an event id. The GET of
that event streams server-sent events: `generating` with all that is written so far, again and
again, then `complete`, or `error`.
"""

import json
import os
import sys
from contextlib import closing
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class Refused(Exception):
    """The Space gave no answer; the message says why."""


def call(space, endpoint, token=None, **arguments):
    """Yield the results of an endpoint as they grow, each a list with one value an output.

    The last one is complete. If you close the generator, the Space stops writing.
    """
    url = f"{space.rstrip('/')}/gradio_api/call/v2/{endpoint}"
    headers = {"Content-Type": "application/json"} | (
        {"Authorization": f"Bearer {token}"} if token else {}
    )
    with urlopen(Request(url, json.dumps(arguments).encode(), headers)) as accepted:
        event_id = json.load(accepted)["event_id"]
    with urlopen(Request(f"{url}/{event_id}", headers=headers)) as stream:
        for event, data in events(stream):
            if event == "error":
                raise Refused(data["error"] if isinstance(data, dict) else data)
            if event in ("generating", "complete"):  # anything else is a heartbeat
                yield data
            if event == "complete":
                return
    raise Refused("the connection broke off before the end")


def events(stream):
    """Yield (event, data) for each server-sent event; data is decoded JSON."""
    event = ""
    for line in stream:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            event = value
        elif field == "data":
            yield event, json.loads(value)


def main(space, question):
    token = os.environ.get("HF_TOKEN")
    shown = ""
    for result in call(space, "answer", token, question=question, max_new_tokens=120):
        print(result[1][len(shown) :], end="", flush=True)
        shown = result[1]
    base, _tuned, records = result
    print(f"\nbase: {base}\nrecords: {[record['title'] for record in records]}")

    with closing(call(space, "answer", token, question=question)) as answers:
        first = next(tuned for _, tuned, _ in answers if len(tuned.split()) >= 3)
    print(f"stopped half-way: {first} ...")

    [[found]] = call(space, "search", token, query=question, k=2)
    print(f"search: {[record['title'] for record in found]}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Refused as error:
        sys.exit(f"The Space refused: {error}")
    # 503: the queue is full. 401, 404: a private Space, and no token. 500: an unknown argument.
    except HTTPError as error:
        sys.exit(f"HTTP {error.code}: {error.read().decode()[:200]}")
