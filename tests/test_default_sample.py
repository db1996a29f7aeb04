"""The committed sample with the real default base: small enough, whole, and it answers."""

import json

import pytest

from space.evidence import FILES
from space.settings import DEFAULT_BASE, SAMPLE
from tests.test_end_to_end import serving
from train.sample import CATALOGUE, RECIPE

DEFAULT = {"BASE_MODEL": "", "ADAPTER": "", "CATALOGUE": ""}  # empty counts as unset


@pytest.fixture(scope="module")
def samples() -> list[dict]:
    lines = (SAMPLE / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_it_is_small_enough_to_carry_and_of_the_recipe():
    assert (SAMPLE / "adapter" / "adapter_model.safetensors").stat().st_size <= 12 * 2**20
    record = json.loads((SAMPLE / "adapter" / "run.json").read_text(encoding="utf-8"))
    assert record["base"]["name"] == DEFAULT_BASE
    for name in ("rank", "learning_rate", "learn", "answers", "absent"):
        assert record["config"][name] == getattr(RECIPE, name)
    assert all((SAMPLE / name).is_file() for name in FILES)


def test_its_catalogue_is_the_examples(samples):
    report = json.loads((SAMPLE / "catalogue" / "report.json").read_text(encoding="utf-8"))
    lines = 0
    for path in CATALOGUE.glob("*.jsonl"):
        lines += len(path.read_text(encoding="utf-8").splitlines())
    assert report["read"] == lines and report["splits"]["unseen"] >= 60
    assert {"seen", "unseen", "grounded", "absent", "summary", "kept"} <= {
        each["set"] for each in samples
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_answers_from_the_records_and_cites_them(tmp_path, samples):
    from gradio_client import Client

    def right(name: str) -> list[dict]:
        return [
            each for each in samples if each["set"] == name and each["scores"]["tuned"]["right"]
        ]

    grounded, absent = right("grounded")[:3], right("absent")[:2]
    with serving(tmp_path, **DEFAULT) as address:
        client = Client(address, verbose=False)
        info = client.predict(api_name="/info")
        assert info["base"] == DEFAULT_BASE and info["precision"] == "nf4"
        cited = 0
        for item in grounded:
            base, tuned, sources = client.predict(item["question"], True, api_name="/answer")
            position = [source["uid"] for source in sources].index(item["uid"]) + 1
            cited += f"[{position}]" in tuned
            assert base and tuned and base != tuned
        assert cited >= 2
        declined = 0
        for item in absent:
            _, tuned, _ = client.predict(item["question"], True, api_name="/answer")
            declined += "catalogue" in tuned or "catálogo" in tuned
        assert declined
