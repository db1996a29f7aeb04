"""space/settings.py: defaults, the environment, and all problems in one message."""

import dataclasses

import pytest

from bench.startup import surroundings
from space.settings import (
    DEFAULT_BASE,
    ROOT,
    SAMPLE,
    Settings,
    SettingsError,
    bypass_proxies,
)


def test_an_empty_environment_is_the_embedded_sample():
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert settings.base_model == DEFAULT_BASE
    assert settings.adapter == str(SAMPLE / "adapter")
    assert settings.catalogue == str(SAMPLE / "catalogue")
    assert SAMPLE.is_absolute() and settings.base_revision is settings.adapter_revision is None
    assert (settings.max_new_tokens, settings.summary_tokens, settings.temperature) == (
        200,
        120,
        0.0,
    )


def test_every_variable_is_read():
    settings = Settings.from_environment(
        {
            "BASE_MODEL": "b/m",
            "BASE_REVISION": "1",
            "ADAPTER": "a/d",
            "ADAPTER_REVISION": "2",
            "CATALOGUE": "c",
            "CATALOGUE_REVISION": "3",
            "PRECISION": "bf16",
            "MAX_NEW_TOKENS": "7",
            "MAX_INPUT_CHARS": "8",
            "QUEUE_SIZE": "9",
            "ALLOWED_HOSTS": "Shop.example, shop.internal",
            "PORT": "7000",
            "VOTES_DIR": "/data/votes",
            "VOTES_REPO": "me/votes",
            "SPACE_ID": "me/space",
        }
    )
    assert settings == Settings(
        base_model="b/m",
        base_revision="1",
        adapter="a/d",
        adapter_revision="2",
        catalogue="c",
        catalogue_revision="3",
        precision="bf16",
        max_new_tokens=7,
        max_input_chars=8,
        queue_size=9,
        allowed_hosts=("shop.example", "shop.internal"),
        port=7000,
        votes_dir="/data/votes",
        votes_repo="me/votes",
        on_space=True,
        space_id="me/space",
    )


def test_a_measurement_knows_nothing_of_the_callers_variables(monkeypatch):
    for name, value in (
        ("BASE_MODEL", "b/m"),
        ("BASE_REVISION", "1"),
        ("ADAPTER", "a/d"),
        ("ADAPTER_REVISION", "2"),
        ("CATALOGUE", "c"),
        ("CATALOGUE_REVISION", "3"),
        ("PRECISION", "bf16"),
        ("MAX_NEW_TOKENS", "7"),
        ("MAX_INPUT_CHARS", "8"),
        ("QUEUE_SIZE", "9"),
        ("VOTES_DIR", "votes"),
        ("VOTES_REPO", "me/votes"),
    ):
        monkeypatch.setenv(name, value)
    assert Settings.from_environment(surroundings() | {"PORT": "7860"}) == Settings()


def test_a_blank_variable_counts_as_unset():
    assert Settings.from_environment({"ADAPTER": " ", "PORT": "", "BASE_MODEL": "\n"}) == Settings()


def test_another_adapter_does_not_get_the_samples_catalogue():
    assert Settings.from_environment({"BASE_MODEL": "b/m", "ADAPTER": "a/d"}).catalogue is None
    assert Settings.from_environment({"CATALOGUE": "c"}).catalogue == "c"


def test_votes_are_kept_only_where_the_environment_says_so():
    assert Settings.from_environment({"VOTES_DIR": "here"}).votes_repo is None
    assert Settings.from_environment({"VOTES_REPO": "me/votes"}).votes_dir == str(ROOT / "votes")


def test_every_problem_is_named_at_once():
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(
            {
                "PORT": "eighty",
                "MAX_NEW_TOKENS": "0",
                "QUEUE_SIZE": "-1",
                "PRECISION": "int3",
                "BASE_MODEL": "b/m",
                "ADAPTER_REVISION": "2",
            }
        )
    words = str(caught.value)
    for part in (
        "PORT is 'eighty'",
        "MAX_NEW_TOKENS is 0",
        "1 to 2048",
        "QUEUE_SIZE is -1",
        "'int3'",
        "auto, nf4",
        "BASE_MODEL is set but ADAPTER is not",
        "ADAPTER_REVISION is set but ADAPTER is not",
    ):
        assert part in words
    assert "\n" not in words


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ADAPTER": "a/d"}, "ADAPTER is set but BASE_MODEL is not"),
        ({"BASE_REVISION": "1"}, "BASE_REVISION is set but BASE_MODEL is not"),
        ({"CATALOGUE_REVISION": "1"}, "CATALOGUE_REVISION is set but CATALOGUE is not"),
        ({"PORT": "65536"}, "PORT is 65536"),
        ({"MAX_INPUT_CHARS": "1.5"}, "'1.5'"),
        (
            {"VOTES_REPO": "votes"},
            "VOTES_REPO is 'votes'; it must be the id of a Hub dataset, like user/votes",
        ),
    ],
)
def test_one_problem(given, words):
    with pytest.raises(SettingsError, match=words):
        Settings.from_environment(given)


def test_settings_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "shop.example, localhost"}, "shop.example,localhost,127.0.0.1"),
        ({"NO_PROXY": "upper", "no_proxy": "lower"}, "lower,127.0.0.1,localhost"),
    ],
)
def test_this_machine_is_reached_without_a_proxy(given, hosts):
    bypass_proxies(given)
    assert given == {"NO_PROXY": hosts, "no_proxy": hosts}
