"""Call a Shelftalk Space over MCP, as an assistant does: list its tools and use each.

pip install "mcp<2" httpx
python call_as_mcp_tool.py http://127.0.0.1:7860 "Brigsteer Paring Knife"
HF_TOKEN=hf_... python call_as_mcp_tool.py https://user-space.hf.space "Brigsteer Paring Knife"
"""

import ast
import asyncio
import math
import os
import sys

import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


class Refused(Exception):
    """The Space gave no result; the message says why."""


async def call(session, tool, **arguments):
    """Call a tool and return its outputs as texts; raise Refused.

    A list of records comes as Python, not as JSON: ast.literal_eval reads it.
    """
    result = await session.call_tool(tool, arguments, progress_callback=ignore)
    texts = [part.text for part in result.content]
    if result.isError:
        raise Refused(texts[0].removeprefix("Error: "))
    return texts


async def ignore(progress, total, message):
    """Take the progress of a call: without a listener gradio joins all outputs in one text."""


async def use(session, question):
    """List the tools and call each of them."""
    tools = {}
    for tool in (await session.list_tools()).tools:
        # On a Space, gradio puts the name of the Space first: `shelftalk_answer`.
        tools[tool.name.rpartition("_")[2]] = tool.name
        parameters = "".join(
            f"\n    {name}: {schema['description']}"
            for name, schema in tool.inputSchema["properties"].items()
        )
        print(f"{tool.name}: {tool.description}{parameters}")

    base, tuned, records = await call(
        session, tools["answer"], question=question, max_new_tokens=120
    )
    titles = [record["title"] for record in ast.literal_eval(records)]
    print(f"\nbase:  {base}\ntuned: {tuned}\nrecords: {titles}")
    [tokens] = await call(session, tools["explain"], question=question, answer=tuned)
    most = max(
        ast.literal_eval(tokens), key=lambda token: token["tuned_logprob"] - token["base_logprob"]
    )
    before, after = (math.exp(most[name]) for name in ("base_logprob", "tuned_logprob"))
    print(f"explain: fine-tuning raised {most['token']!r} most, from {before:.2g} to {after:.2g}")
    [found] = await call(session, tools["search"], query=question, k=1)
    for best in ast.literal_eval(found):
        print(f"search: {best['title']} ({best['score']:.2f})")
        _base, summary = await call(session, tools["summarize"], text=best["content"])
        print(f"summary: {summary}")
    [info] = await call(session, tools["info"])
    print(f"info: {ast.literal_eval(info)['base']}")


async def main(space, question):
    """Ask the Space; return an error message, or None."""
    token = os.environ.get("HF_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(30, read=300)) as http,
        streamable_http_client(f"{space.rstrip('/')}/gradio_api/mcp/", http_client=http) as (
            read,
            write,
            _,
        ),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        try:
            return await use(session, question)
        except Refused as error:  # outside the sessions it would arrive in nested groups
            return f"The Space refused: {error}"


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
