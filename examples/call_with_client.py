"""Ask a Shelftalk Space with gradio_client: at once, while the answers grow, stopped half-way.

pip install gradio_client
python call_with_client.py http://127.0.0.1:7860 "Brigsteer Paring Knife"
HF_TOKEN=hf_... python call_with_client.py user/private-space "Brigsteer Paring Knife"
"""

import os
import sys

from gradio_client import Client
from gradio_client.exceptions import AppError
from gradio_client.utils import QueueError


def ask(client, question, **options):
    """Return (base answer, tuned answer, records); `[1]` in an answer is the first record.

    The options are use_sources, max_new_tokens and temperature.
    """
    return client.predict(question, api_name="/answer", **options)


def watch(client, question, **options):
    """Yield the tuned answer as it grows."""
    job = client.submit(question, api_name="/answer", **options)
    for _base, tuned, _records in job:
        yield tuned
    job.result()  # a refusal only ends the loop; this raises its reason


def stop_half_way(client, question, words, **options):
    """Return the first words of the tuned answer, and stop the Space."""
    job = client.submit(question, api_name="/answer", **options)
    for _base, tuned, _records in job:
        if len(tuned.split()) >= words:
            job.cancel()
            return tuned
    return job.result()[1]


def main(space, question):
    client = Client(space, token=os.environ.get("HF_TOKEN"), verbose=False)
    info = client.predict(api_name="/info")
    print(f"{info['base']} with {info['adapter']}, {info['precision']} on {info['device']}")

    base, tuned, records = ask(client, question, max_new_tokens=120)
    print(f"base:  {base}\ntuned: {tuned}")
    for position, record in enumerate(records, start=1):
        print(f"  [{position}] {record['title']} ({record['score']:.2f})")

    print("as it grows: ", end="")
    shown = ""
    for tuned in watch(client, question):
        print(tuned[len(shown) :], end="", flush=True)
        shown = tuned
    print(f"\nstopped half-way: {stop_half_way(client, question, words=3)} ...")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except AppError as error:
        sys.exit(f"The Space refused: {error}")
    except QueueError:
        sys.exit("The Space has as many visitors as it takes. Try again in a moment.")
