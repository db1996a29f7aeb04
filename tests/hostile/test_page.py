"""Attacks on a served page: each is refused or bounded, and the next visitor is answered."""

import asyncio
import http.client
import json
import logging
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from space.page import lines, uploads
from space.page.guards import BODY_LIMIT, VALUES, FewLines
from space.page.launch import bound_connections, wait_for_end
from space.settings import UPLOAD_FOLDER
from space.texts import TEXTS
from tests.fake_engine import FakeEngine
from tests.serving import serving_demo

HASH = "abcdefghijk"


@pytest.fixture(scope="module")
def served():
    """(engine, demo) of a page with a fake engine and room for three visitors."""
    engine = FakeEngine(delay=0.02)
    with serving_demo(engine, queue_size=3) as demo:
        yield engine, demo


@pytest.fixture
def page(served):
    engine, demo = served
    engine.closed.clear()
    with httpx.Client(base_url=demo.local_url, timeout=20, trust_env=False) as client:
        yield client
    engine.delay, engine.error = 0.02, None
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and (len(demo._queue) or any(demo._queue.active_jobs)):
        for waiting in demo._queue.event_queue_per_concurrency_id.values():
            waiting.queue.clear()
        for event in [event for job in demo._queue.active_jobs if job for event in job]:
            event.alive = False
        time.sleep(0.05)


def ask(page, name, **arguments):
    """(events, the last one's data) of a call by name."""
    answer = page.post(f"/gradio_api/call/v2/{name}", json=arguments)
    assert answer.status_code == 200, answer.text
    events, data = [], None
    with page.stream("GET", f"/gradio_api/call/v2/{name}/{answer.json()['event_id']}") as stream:
        for line in stream.iter_lines():
            if line.startswith("event:"):
                events.append(line[7:])
            elif line.startswith("data:"):
                data = json.loads(line[6:])
    return events, data


def fn_index(demo, name):
    return next(index for index, fn in demo.fns.items() if fn.api_name == name)


def join(page, demo, name, data, session=HASH):
    body = {"data": data, "fn_index": fn_index(demo, name), "session_hash": session}
    return page.post("/gradio_api/queue/join", json=body)


# --- bodies ---


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"question": "' + b"x" * BODY_LIMIT + b'"}', 413),
        (b'{"question": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"question": ' + b"[" * 40 + b"]" * 40 + b"}", 400),
        (b'{"question": [' + b"[]," * VALUES + b"1]}", 413),
        (b"{{{", 400),
        (b"[]", 400),
        (b'"text"', 400),
        (b"\xff\xfe", 400),
        (b"{}", 400),
        (b'{"question": "x", "evil": 1}', 400),
    ],
)
def test_a_body_that_means_harm_is_refused_in_words(page, body, status):
    started = time.monotonic()
    headers = {"content-type": "application/json"}
    answer = page.post("/gradio_api/call/v2/answer", content=body, headers=headers)
    assert answer.status_code == status and time.monotonic() - started < 3
    detail = answer.json()["detail"]
    assert detail.endswith(".") and "Traceback" not in detail
    assert ask(page, "info")[0][-1] == "complete"


def test_a_body_without_a_length_is_counted_as_it_comes(page):
    def endless():
        for _ in range(40):
            yield b" " * 100_000

    try:
        answer = page.post(
            "/gradio_api/queue/join",
            content=endless(),
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 413
    except httpx.WriteError:  # the page closed the connection meanwhile
        pass
    assert ask(page, "info")[0][-1] == "complete"


def test_a_missing_parameter_is_named(page):
    answer = page.post("/gradio_api/call/v2/answer", json={})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "/answer needs the parameter question."
    answer = page.post("/gradio_api/call/v2/nope", json={}, headers={"accept-language": "pt-BR"})
    assert (answer.status_code, answer.json()["detail"]) == (404, "Não há endpoint nope.")


@pytest.mark.parametrize("session", ["s" * 65, "a/../b", "", 7, ["a"], {"a": 1}])
def test_a_session_has_a_short_name(page, served, session):
    assert join(page, served[1], "info", [], session).status_code == 400


@pytest.mark.parametrize("index", [10**9, -1, "1", True, 1.5])
def test_an_unknown_function_is_refused(page, index):
    body = {"data": [], "fn_index": index, "session_hash": HASH}
    assert page.post("/gradio_api/queue/join", json=body).status_code == 404


def test_too_many_or_too_few_values_are_refused(page, served):
    for data in ([], ["x"] * 50, None, "text"):
        assert join(page, served[1], "answer", data).status_code == 400


# --- what is served to whom ---


@pytest.mark.parametrize(
    "path",
    [
        f"/gradio_api/deep_link?session_hash={HASH}",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/proxy=https://user-space.hf.space/x",
        "/gradio_api/stream/a/b/c/playlist-file",
        "/gradio_api/dev/reload",
        "/monitoring/summary",
    ],
)
def test_what_the_page_does_not_use_is_not_served(page, path):
    answer = page.get(path)
    assert (answer.status_code, answer.json()["detail"]) == (404, TEXTS["not_served"]["en"])


def test_an_address_is_bounded(page):
    assert page.get("/gradio_api/queue/status", params={"x": "y" * 10_000}).status_code == 414


def test_headers_keep_the_page_to_itself(page):
    headers = page.get("/").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["content-security-policy"].endswith("frame-ancestors 'self'")
    assert headers["x-frame-options"] == "SAMEORIGIN"


def test_on_a_space_the_hub_may_frame_the_page():
    with serving_demo(FakeEngine(), on_space=True) as demo:
        headers = httpx.get(
            f"http://127.0.0.1:{demo.server_port}/",
            headers={"host": "me-space.hf.space"},
            trust_env=False,
        ).headers
    policy = headers["content-security-policy"]
    assert policy.split("frame-ancestors ")[1].split() == [
        "'self'",
        "https://huggingface.co",
        "https://*.huggingface.co",
        "https://*.hf.space",
    ]
    assert "x-frame-options" not in headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "localhost.evil.example", ""]
)
def test_another_host_is_refused(page, host):
    answer = page.get("/gradio_api/info", headers={"host": host})
    assert answer.status_code == 421


def test_a_host_that_is_allowed_is_answered():
    with serving_demo(FakeEngine(), allowed_hosts=("shop.example",)) as demo:
        answer = httpx.get(
            f"{demo.local_url}gradio_api/info", headers={"host": "shop.example"}, trust_env=False
        )
        assert answer.status_code == 200


def test_only_the_own_origin_reads_answers(page):
    port = urlsplit(str(page.base_url)).netloc
    own = page.get("/gradio_api/info", headers={"origin": f"http://{port}"})
    assert own.headers["access-control-allow-origin"] == f"http://{port}"
    for foreign in ("https://evil.example", "null", "http://127.0.0.1:1"):
        headers = {"origin": foreign}
        answer = page.get("/gradio_api/info", headers=headers)
        assert "access-control-allow-origin" not in answer.headers
        assert "access-control-allow-credentials" not in answer.headers
        asks = {**headers, "access-control-request-method": "POST"}
        assert page.options("/gradio_api/queue/join", headers=asks).status_code == 403
        call = page.post("/gradio_api/call/v2/info", json={}, headers=headers)
        assert call.status_code == 403


def test_an_error_tells_no_folder(page, served):
    demo = served[1]
    sent = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
    takes = [
        index
        for index, fn in demo.fns.items()
        if len(fn.inputs) == 1 and type(fn.inputs[0]).__name__ == "UploadButton"
    ]
    assert takes
    for index in takes:
        body = {"data": [sent], "fn_index": index, "session_hash": HASH}
        answer = page.post("/gradio_api/queue/join", json=body)
        assert answer.status_code == 200
        with page.stream("GET", f"/gradio_api/queue/data?session_hash={HASH}") as stream:
            text = "".join(stream.iter_lines())
        assert "process_completed" in text and "/tmp" not in text and str(Path.cwd()) not in text


# --- the lines ---


def test_a_queue_outlives_two_thousand_sessions(page, served, monkeypatch):
    """gradio's own stops for good: a message for a waiting session that was pushed out."""
    engine, demo = served
    monkeypatch.setattr(demo._queue.pending_messages_per_session, "max_size", 20)
    engine.delay = 0.05

    async def visit():
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(
            base_url=demo.local_url, timeout=20, trust_env=False, limits=limits
        ) as client:

            async def asks(number):
                body = {"question": "lantern", "max_new_tokens": 5}
                event = (await client.post("/gradio_api/call/v2/answer", json=body)).json()
                path = f"/gradio_api/call/v2/answer/{event['event_id']}"
                async with client.stream("GET", path) as stream:
                    return [line async for line in stream.aiter_lines()]

            waiting = [asyncio.create_task(asks(number)) for number in range(2)]
            await asyncio.sleep(0.3)
            for number in range(60):
                body = {"data": [], "fn_index": fn_index(demo, "info")}
                await client.post(
                    "/gradio_api/queue/join", json={**body, "session_hash": f"s{number}"}
                )
            return await asyncio.gather(*waiting)

    for answer in asyncio.run(visit()):
        assert "event: complete" in answer
    assert not demo._queue.stopped
    assert page.get("/healthz").json()["status"] == "ok"
    assert len(demo._queue.pending_messages_per_session) <= 20


def test_a_message_for_a_session_that_is_gone_is_dropped(served):
    boxes = served[1]._queue.pending_messages_per_session
    boxes["nobody"].put_nowait("x")
    assert "nobody" not in boxes


def test_a_stopped_queue_says_so_and_ends_the_program(capsys):
    with serving_demo(FakeEngine()) as demo:
        health = f"{demo.local_url}healthz"
        assert httpx.get(health, trust_env=False).json()["status"] == "ok"
        demo._queue.stopped = True
        assert httpx.get(health, trust_env=False).status_code == 503
        with pytest.raises(SystemExit) as caught:
            wait_for_end(demo)
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("shelftalk: the queue stopped")


def test_who_does_not_listen_does_not_hold_the_model(page, served):
    engine, demo = served
    engine.delay = 1.0
    for number in range(25):
        answer = page.post("/gradio_api/call/v2/answer", json={"question": f"lantern {number}"})
        assert answer.status_code == 200
    assert sum(len(line.queue) for line in demo._queue.event_queue_per_concurrency_id.values()) <= 3
    engine.delay = 0.01
    started = time.monotonic()
    assert ask(page, "answer", question="lantern")[0][-1] == "complete"
    assert time.monotonic() - started < 5


def test_who_asks_first_and_listens_later_is_answered(page):
    event = page.post("/gradio_api/call/v2/answer", json={"question": "lantern"}).json()["event_id"]
    time.sleep(2)
    with page.stream("GET", f"/gradio_api/call/v2/answer/{event}") as stream:
        assert "event: complete" in list(stream.iter_lines())


def test_a_listener_who_leaves_frees_the_model_within_a_second(page, served):
    engine = served[0]
    engine.delay = 0.05
    event = page.post("/gradio_api/call/v2/answer", json={"question": "lantern"}).json()["event_id"]
    with page.stream("GET", f"/gradio_api/call/v2/answer/{event}") as stream:
        next(stream.iter_lines())
    assert engine.closed.wait(1.5)


def test_an_mcp_caller_who_leaves_frees_the_model(page, served):
    engine = served[0]
    engine.delay = 0.02
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "answer", "arguments": {"question": "lantern"}},
    }
    headers = {"accept": "application/json, text/event-stream"}
    assert page.post("/gradio_api/mcp/", json=call, headers=headers).status_code == 200
    engine.closed.clear()
    engine.delay = 0.5
    for patience in (0.3, 3):  # leaves before the tool is called, and while it answers
        with pytest.raises(httpx.TimeoutException):
            page.post("/gradio_api/mcp/", json=call, headers=headers, timeout=patience)
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline and any(served[1]._queue.active_jobs):
            time.sleep(0.1)
        assert not any(served[1]._queue.active_jobs)


def test_search_and_info_do_not_wait_behind_a_full_line(page, served):
    engine, demo = served
    engine.delay = 0.5

    async def crowd():
        async with httpx.AsyncClient(
            base_url=demo.local_url, timeout=20, trust_env=False
        ) as client:

            async def listen(event):
                async with client.stream("GET", f"/gradio_api/call/v2/answer/{event}") as stream:
                    async for _ in stream.aiter_lines():
                        pass

            listeners, refused = [], None
            while refused is None and len(listeners) < 10:
                body = {"question": f"lantern {len(listeners)}"}
                answer = await client.post("/gradio_api/call/v2/answer", json=body)
                if answer.status_code == 200:
                    listeners.append(asyncio.create_task(listen(answer.json()["event_id"])))
                else:
                    refused = answer
            assert refused and refused.status_code == 503
            assert refused.json()["detail"] == TEXTS["line_full"]["en"]
            for name, arguments in (("info", {}), ("search", {"query": "lantern"})):
                started = time.monotonic()
                body = await client.post(f"/gradio_api/call/v2/{name}", json=arguments)
                event = body.json()["event_id"]
                async with client.stream("GET", f"/gradio_api/call/v2/{name}/{event}") as stream:
                    assert "event: complete" in [line async for line in stream.aiter_lines()]
                assert time.monotonic() - started < 3
            for task in listeners:
                task.cancel()

    asyncio.run(crowd())


def test_new_sessions_do_not_push_out_conversations(page, served, monkeypatch):
    demo = served[1]
    holder = demo.app.state_holder
    monkeypatch.setattr(holder, "capacity", 20)
    monkeypatch.setattr(lines, "PROGRAMS", 5)
    with page.stream("GET", "/gradio_api/heartbeat/avisitor") as stream:
        next(stream.iter_lines())
        mine = holder["avisitor"]
        for number in range(60):
            holder[f"program{number}"]
        assert holder.session_data["avisitor"] is mine
        assert len(holder.session_data) <= 21 and len(holder.time_last_used) <= 80
    for number in range(60):
        holder[f"other{number}"]
    assert holder.session_data["avisitor"] is mine  # a page that is closed goes after the programs


# --- connections ---


def test_half_open_requests_lock_nobody_out(monkeypatch, caplog):
    monkeypatch.setattr("space.page.launch.REQUEST_SECONDS", 1)
    with serving_demo(FakeEngine()) as demo:
        bound_connections(demo.server, most=40)
        address = ("127.0.0.1", demo.server_port)
        half_open = []
        for _ in range(120):
            sock = socket.create_connection(address, timeout=5)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
            half_open.append(sock)
        try:
            answer = httpx.get(f"{demo.local_url}healthz", timeout=5, trust_env=False)
            assert answer.status_code == 200
            assert len(demo.server.server_state.connections) <= 41
            deadline = time.monotonic() + 4
            while len(demo.server.server_state.connections) > 1 and time.monotonic() < deadline:
                time.sleep(0.1)
            assert len(demo.server.server_state.connections) <= 1
        finally:
            for sock in half_open:
                sock.close()
    assert len(caplog.records) < 50


def test_a_connection_is_kept_between_requests(monkeypatch):
    monkeypatch.setattr("space.page.launch.REQUEST_SECONDS", 1)
    with serving_demo(FakeEngine()) as demo:
        bound_connections(demo.server)
        connection = http.client.HTTPConnection("127.0.0.1", demo.server_port, timeout=5)
        for _ in range(3):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read()
            time.sleep(0.7)


def test_a_body_that_never_ends_is_given_up(page, served, monkeypatch):
    monkeypatch.setattr("space.page.guards.BODY_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", served[1].server_port), timeout=5) as sock:
        sock.sendall(
            b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        assert b" 408 " in sock.recv(1000)


def test_the_log_takes_so_many_lines_a_minute():
    few = FewLines()
    record = logging.LogRecord("x", logging.WARNING, "", 0, "again %s", ("x",), None)
    assert sum(few.filter(record) for _ in range(1000)) == 20


# --- uploads ---


def send(page, content, **headers):
    files = {"files": ("text.txt", content)}
    return page.post("/gradio_api/upload", files=files, headers=headers)


def test_an_upload_is_not_readable_by_its_path(page):
    (path,) = send(page, b"a secret").json()
    for form in ("file=", "file/"):
        assert page.get(f"/gradio_api/{form}{path}").status_code == 404
    Path(path).unlink()


def test_a_large_upload_is_refused_before_it_is_written(page):
    answer = send(page, b"x" * (11 * 2**20))
    assert (answer.status_code, answer.text) == (
        413,
        TEXTS["upload_large"]["en"].format(limit=10),
    )


def test_all_uploads_together_are_bounded(page, monkeypatch):
    monkeypatch.setattr("space.page.uploads.WAITING_BYTES", 200_000)
    answers = [send(page, bytes([65 + number]) * 100_000) for number in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 503, 503]
    assert answers[-1].text == TEXTS["upload_full"]["en"]
    for answer in answers[:2]:
        Path(answer.json()[0]).unlink()


def test_what_a_broken_upload_left_is_swept(tmp_path, monkeypatch):
    folder = tmp_path / f"{UPLOAD_FOLDER}x"
    (folder / "empty").mkdir(parents=True)
    (folder / "tmpabc").write_bytes(b"half")
    (folder / "hash").mkdir()
    (folder / "hash" / "text.txt").write_bytes(b"all")
    uploads.sweep(folder)
    assert (folder / "tmpabc").exists()
    monkeypatch.setattr(uploads, "LEFT_OVER", -1)
    uploads.sweep(folder)
    assert [path.name for path in folder.rglob("*")] == ["hash", "text.txt"]
    other = tmp_path / "gradio"  # of all of gradio's programs on a machine
    other.mkdir()
    (other / "tmpabc").write_bytes(b"theirs")
    uploads.sweep(other)
    assert (other / "tmpabc").exists()


def test_a_full_disk_is_one_line(page, monkeypatch, caplog):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gradio.route_utils.NamedTemporaryFile", full, raising=False)
    answer = send(page, b"text", **{"accept-language": "pt"})
    assert (answer.status_code, answer.text) == (507, TEXTS["upload_disk"]["pt"])
