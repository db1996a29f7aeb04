"""The interface as a promise: its whole description as it was published, and the tools through
MCP's own client.
"""

import asyncio
import json
from pathlib import Path

import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from space.page.ui import build_demo
from space.settings import Settings
from tests.fake_engine import INFO, RECORDS, FakeEngine
from tests.serving import serving

PROMISE = Path(__file__).parents[2] / "promise.json"


@pytest.fixture(scope="module")
def address():
    with serving(FakeEngine(delay=0)) as address:
        yield address


def described() -> dict:
    """What /gradio_api/info says of the endpoints, without the examples of code that gradio makes."""  # noqa: E501
    info = build_demo(FakeEngine(), Settings()).get_api_info()
    assert not info["unnamed_endpoints"]
    return {
        name: {part: value for part, value in endpoint.items() if part != "code_snippets"}
        for name, endpoint in info["named_endpoints"].items()
    }


def test_the_description_is_the_one_that_was_promised():
    """A new parameter comes last and has a default; then the promise is written anew: python -m
    tests.space.page.test_promise.
    """
    promised = json.loads(PROMISE.read_text(encoding="utf-8"))
    assert described() == promised


async def call(address: str) -> tuple[list, dict]:
    """(the tools, what each says) over MCP's streamable HTTP."""
    questions = {
        "answer": {"question": "What is a lantern?"},
        "summarize": {"text": "A long text."},
        "search": {"query": "lantern", "k": 1},
        "explain": {"question": "hi", "answer": "It is oak."},
        "info": {},
        "refused": {"question": " "},
    }
    async with (
        streamablehttp_client(f"{address}gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        tools = (await session.list_tools()).tools
        said = {
            name: await session.call_tool("answer" if name == "refused" else name, arguments)
            for name, arguments in questions.items()
        }
    return tools, said


def test_the_tools_answer_the_official_client(address):
    tools, said = asyncio.run(call(address))
    assert {tool.name for tool in tools} == {"answer", "summarize", "explain", "search", "info"}
    for tool in tools:
        assert len(tool.description) > 60, tool.name
        assert all(one.get("description") for one in tool.inputSchema["properties"].values()), (
            tool.name
        )
    words = {
        name: " ".join(part.text for part in result.content if part.type == "text")
        for name, result in said.items()
    }
    assert not any(result.isError for name, result in said.items() if name != "refused")
    assert "Brass Ship's Lantern" in words["answer"] and RECORDS[0]["uid"] in words["answer"]
    assert "In short:" in words["summarize"] and RECORDS[0]["title"] in words["search"]
    assert "base_logprob" in words["explain"] and INFO["base"] in words["info"]
    assert (
        said["refused"].isError and "The question is empty. Please write one." in words["refused"]
    )


if __name__ == "__main__":
    PROMISE.write_text(
        json.dumps(described(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
