"""What stands before gradio: each request is checked and bounded before gradio reads it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import SplitResult, urlsplit

from gradio.block_function import BlockFunction
from gradio.routes import App
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from space.page.lines import Lines, Listeners, Sessions, hide_details
from space.page.uploads import check_room, sweep
from space.settings import UPLOAD_LIMIT, Settings
from space.texts import words

API = "/gradio_api/"
BODY_LIMIT = 1_000_000  # bytes of a request that is no upload
VALUES = 20_000  # in one JSON body
DEPTH = 32  # of one JSON body
BODY_SECONDS, UPLOAD_SECONDS = 20, 60  # to send a body
UPLOADS = 4  # at once
FORM = 100_000  # bytes of a form around its file
ADDRESS_LIMIT = 8_000  # characters of a path with its query; a private Space signs it
SESSION = re.compile(r"[\w.-]{1,64}")
LOCAL = ("localhost", "127.0.0.1", "::1")
PAGES = 2_000  # sessions that are remembered to have had an open page
# The parts of gradio's interface that the page and programs use. The others write to the disk,
# serve files or show other visitors' data.
SERVED = {
    "api",
    "app_id",
    "call",
    "cancel",
    "heartbeat",
    "info",
    "login_check",
    "mcp",
    "openapi.json",
    "queue",
    "reset",
    "run",
    "startup-events",
    "theme.css",
    "upload",
    "upload_progress",
    "user",
}
REFUSED = ("/monitoring", "/login", "/logout")
HUB = "https://huggingface.co https://*.huggingface.co https://*.hf.space"
# Gradio's page needs inline scripts and styles, and compiles expressions at run time.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
LINES_A_MINUTE = 20  # of one kind in the log
TICK = 0.25  # seconds between looks at who listens
SWEEP = 30  # seconds between looks at what uploads left
log = logging.getLogger(__name__)


class Refused(Exception):
    """A request is refused with a status and a text of space/texts.json."""

    def __init__(self, status: int, key: str, **values) -> None:
        super().__init__(key)
        self.status, self.key, self.values = status, key, values


class FewLines(logging.Filter):
    """Let so many lines a minute into the log, whatever comes."""

    def __init__(self) -> None:
        super().__init__()
        self._since, self._count = 0.0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._since > 60:
            self._since, self._count = now, 0
        self._count += 1
        if self._count == LINES_A_MINUTE:
            record.msg = f"{record.getMessage()} (more of these within a minute are not shown)"
            record.args = ()
        return self._count <= LINES_A_MINUTE


log.addFilter(FewLines())


def guard_options(settings: Settings, routes: Sequence[BaseRoute] = ()) -> dict[str, Any]:
    """Return the keyword arguments of demo.launch() that put the guard before gradio."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        # The outermost place: gradio adds its own middleware outside of what it is given.
        guard = Guard(app, settings)
        app.middleware_stack = guard
        watch = asyncio.create_task(guard.watch())
        try:
            yield
        finally:
            watch.cancel()

    return {"app_kwargs": {"lifespan": lifespan, "routes": list(routes)}}


class Guard:
    """Check and bound each request, and follow who listens to what."""

    def __init__(self, app: App, settings: Settings) -> None:
        assert app.middleware_stack is not None
        self.app: ASGIApp = app.middleware_stack
        self.blocks = app.get_blocks()
        assert isinstance(self.blocks._queue, Lines)
        self.lines = self.blocks._queue
        self.uploads = app.uploaded_file_dir
        self.pages = Listeners(PAGES)
        self.hosts = {*LOCAL, *settings.allowed_hosts}
        self.on_space = settings.on_space
        self.uploading = 0
        app.state_holder.session_data = Sessions(app.state_holder, self.pages)
        self._parameters: dict[str, Sequence[Mapping[str, Any]]] | None = None
        if self.blocks.mcp_server_obj:
            follow_jobs(self.blocks.mcp_server_obj)

    async def watch(self) -> None:
        """Look after the lines for as long as the page is served."""
        swept = time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            try:
                self.lines.look_after()
                if time.monotonic() - swept > SWEEP:
                    swept = time.monotonic()
                    sweep(self.uploads)
            except Exception:
                log.exception("the lines could not be looked after")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        reply = Reply(send, self._headers(request))
        try:
            self._check_address(request)
            if request.method == "POST" and part(request) == "upload":
                await self._upload(request, receive, reply)
            else:
                if request.method == "POST":
                    receive = await self._checked_body(request, receive)
                with self._followed(request):
                    await self._serve(scope, self._watch_caller(scope, receive), reply)
        except Refused as refused:
            await reply.end(refuse(request, refused), scope, receive)

    # --- what is served to whom ---

    def _check_address(self, request: Request) -> None:
        """Refuse foreign hosts and origins, and what the page does not use."""
        host = split_url(f"//{request.headers.get('host', '')}").hostname or ""
        if not self.on_space and host not in self.hosts:
            raise Refused(421, "wrong_host", host=host[:100])
        path = request.url.path
        if len(path) + len(request.url.query) > ADDRESS_LIMIT:
            raise Refused(414, "long_address", limit=ADDRESS_LIMIT)
        first = part(request)
        if path.startswith(REFUSED) or (path.startswith(API) and first not in SERVED):
            raise Refused(404, "not_served")
        sessions = [request.query_params.get("session_hash")]
        if first == "heartbeat":
            sessions.append(path.rsplit("/", 1)[1])
        for session in sessions:
            check_session(session)
        if request.method not in ("GET", "HEAD") and is_foreign(request):
            raise Refused(403, "foreign_origin")

    def _headers(self, request: Request) -> Callable[[MutableHeaders], None]:
        frames = f"{POLICY} {HUB}" if self.on_space else POLICY
        foreign = is_foreign(request)

        def add(headers: MutableHeaders) -> None:
            headers["Content-Security-Policy"] = frames
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "same-origin"
            if not self.on_space:
                headers["X-Frame-Options"] = "SAMEORIGIN"
            if foreign:
                for name in ("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"):
                    if name in headers:
                        del headers[name]

        return add

    # --- bodies ---

    async def _checked_body(self, request: Request, receive: Receive) -> Receive:
        """Read a body of a bounded size and check it before gradio parses it."""
        body = await read_body(request, receive)
        value: object = None
        if "json" in request.headers.get("content-type", ""):
            value = parse_json(body)
            self._check_call(request, value)
        elif part(request) in ("queue", "call", "run", "api", "cancel", "mcp"):
            raise Refused(415, "not_json")
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        return replay

    def _check_call(self, request: Request, body: object) -> None:
        """Refuse a call whose session, function or arguments gradio would trip over."""
        first, names = part(request), request.url.path.removeprefix(API).strip("/").split("/")
        if first not in ("queue", "call", "run", "api", "cancel"):
            return
        if not isinstance(body, dict):
            raise Refused(400, "not_object")
        for name in ("session_hash", "event_id"):
            check_session(body.get(name) if names[:2] != ["call", "v2"] else None)
        if first == "cancel":
            return
        if names[:2] == ["call", "v2"]:
            self._check_arguments(names[2] if len(names) > 2 else "", body)
            return
        fn = self._find_function(names[-1], body)
        data = body.get("data")
        if isinstance(data, list) and (fn.api_visibility != "public" or first in ("run", "api")):
            return  # the page's own, and what gradio refuses since it passes the queue by
        most = len(fn.inputs)
        least = sum(not getattr(block, "skip_api", False) for block in fn.inputs)
        if not isinstance(data, list) or not least <= len(data) <= most:
            count = len(data) if isinstance(data, list) else 0
            raise Refused(400, "wrong_count", count=count, least=least)

    def _find_function(self, name: str, body: Mapping[str, Any]) -> BlockFunction:
        index = body.get("fn_index")
        if index is None:
            for fn in self.blocks.fns.values():
                if fn.api_name == name and fn.api_visibility != "private":
                    return fn
        elif type(index) is int and index in self.blocks.fns:
            return self.blocks.fns[index]
        raise Refused(404, "no_endpoint", name=str(name if index is None else index)[:60])

    def _check_arguments(self, name: str, given: Mapping[str, Any]) -> None:
        """Refuse a call by name whose parameters are not the endpoint's."""
        if self._parameters is None:
            described = self.blocks.get_api_info() or {}
            self._parameters = {}
            for endpoint, value in described["named_endpoints"].items():
                self._parameters[endpoint.strip("/")] = value["parameters"]
        if name not in self._parameters:
            raise Refused(404, "no_endpoint", name=name[:60])
        known = {each["parameter_name"]: each for each in self._parameters[name]}
        for parameter, described in known.items():
            if not described["parameter_has_default"] and parameter not in given:
                raise Refused(400, "lacks_parameter", name=name, parameter=parameter)
        unknown = [parameter for parameter in given if parameter not in known]
        if unknown:
            listed = ", ".join(known) or "-"
            raise Refused(
                400, "unknown_parameter", name=name, parameter=unknown[0][:60], known=listed
            )

    # --- files ---

    async def _upload(self, request: Request, receive: Receive, reply: Reply) -> None:
        """Serve an upload within bounds of size, time and disk."""
        limit = UPLOAD_LIMIT + FORM
        if declared_length(request) > limit:
            raise Refused(413, "upload_large", limit=UPLOAD_LIMIT // 2**20)
        if self.uploading >= UPLOADS or not check_room(self.uploads):
            raise Refused(503, "upload_full")
        received, deadline = 0, time.monotonic() + UPLOAD_SECONDS

        async def bounded() -> Message:
            nonlocal received
            try:
                async with asyncio.timeout(max(0, deadline - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                raise Refused(408, "body_slow", seconds=UPLOAD_SECONDS) from None
            received += len(message.get("body", b""))
            if received > limit:
                raise Refused(413, "upload_large", limit=UPLOAD_LIMIT // 2**20)
            return message

        self.uploading += 1
        try:
            await self._serve(request.scope, bounded, reply, (OSError,))
        except OSError as error:
            log.error("an upload could not be written: %s", error.strerror or error)
            raise Refused(507, "upload_disk") from error
        finally:
            self.uploading -= 1

    # --- answers ---

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        reply: Reply,
        passing: tuple[type[Exception], ...] = (),
    ) -> None:
        """Let gradio answer.

        A failure is one line in the log and one for the caller. Those `passing` are raised.
        """
        failure = None
        try:
            await self.app(scope, receive, reply.send)
        except (Refused, *passing):
            raise
        except Exception as error:
            failure = error
            text = " ".join(f"{type(error).__name__}: {error}".split())
            log.error("%s: %s", scope["path"][:100], text[:500])
            log.debug("the same", exc_info=True)
        if reply.failed or (failure and not reply.started):
            raise Refused(500, "failed")

    @contextlib.contextmanager
    def _followed(self, request: Request):
        """Count an open request among those who listen."""
        path, first = request.url.path.strip("/").split("/"), part(request)
        with contextlib.ExitStack() as stack:
            if request.method == "GET" and first == "heartbeat":
                stack.enter_context(self.pages.listening(path[-1]))
            elif request.method == "GET" and first == "queue" and path[-1] == "data":
                session = request.query_params.get("session_hash", "")
                stack.enter_context(self.lines.listeners.listening(session))
            elif request.method == "GET" and first == "call":
                event = self.lines.event_ids_to_events.get(path[-1])
                session = event.session_hash if event else path[-1]
                stack.enter_context(self.lines.listeners.listening(session))
            yield

    def _watch_caller(self, scope: Scope, receive: Receive) -> Receive:
        """Cancel the jobs of an MCP caller who leaves."""
        if not scope["path"].startswith(API + "mcp"):
            return receive
        caller = Caller()
        scope["shelftalk.caller"] = caller

        async def watched() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                caller.leave()
            return message

        return watched


class Caller:
    """The jobs of an MCP caller, which end when it leaves."""

    def __init__(self) -> None:
        self._jobs: list[Any] = []
        self._left = False

    def follow(self, job: Any) -> None:
        self._jobs.append(job)
        if self._left:
            job.cancel()

    def leave(self) -> None:
        self._left = True
        for job in self._jobs:
            job.cancel()


class Reply:
    """Send an answer with our headers, and hold back gradio's own text of a failure."""

    def __init__(self, send: Send, add_headers: Callable[[MutableHeaders], None]) -> None:
        self._send, self._add_headers = send, add_headers
        self.started, self.failed = False, False
        self._error: Message | None = None  # the start of an answer whose error may hold details

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            is_json = "json" in Headers(raw=message["headers"]).get("content-type", "")
            self.failed = message["status"] == 500 and not is_json
            if message["status"] == 500 and is_json:
                self._error = message
                return
        if self.failed:
            return
        if self._error is not None and message["type"] == "http.response.body":
            start, self._error = self._error, None
            body = without_details(message.get("body", b""))
            headers = MutableHeaders(raw=list(start["headers"]))
            headers["content-length"] = str(len(body))
            await self._pass({**start, "headers": headers.raw})
            await self._pass({**message, "body": body})
            return
        await self._pass(message)

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(raw=list(message["headers"]))
            self._add_headers(headers)
            message = {**message, "headers": headers.raw}
        await self._send(message)

    async def end(self, response: Response, scope: Scope, receive: Receive) -> None:
        """Answer with a refusal, unless an answer is under way."""
        if not self.started:
            self.failed = False
            await response(scope, receive, self._pass)


def part(request: Request) -> str:
    """Return the first name of a path behind /gradio_api/, else ""."""
    path = request.url.path
    return path.removeprefix(API).split("/")[0] if path.startswith(API) else ""


def refuse(request: Request, refused: Refused) -> Response:
    """Write a refusal in the language that the browser asks for."""
    wanted = request.headers.get("accept-language", "").strip().lower()
    message = words(refused.key, "pt" if wanted.startswith("pt") else "en", **refused.values)
    headers = {"Connection": "close"} if refused.status in (408, 413) else {}
    if part(request) == "upload":  # the page shows the text as it is
        return PlainTextResponse(message, refused.status, headers)
    return JSONResponse({"detail": message}, refused.status, headers)


def is_foreign(request: Request) -> bool:
    """Return whether a browser sends this for a page of another site."""
    origin = request.headers.get("origin")
    if origin is None:
        return False
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    host = split_url(origin).netloc  # "null" has none
    hosts = [request.headers.get(name) for name in ("host", "x-forwarded-host")]
    return not host or host not in hosts


def split_url(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def check_session(session: object) -> None:
    if session is None:
        return
    if not isinstance(session, str) or not SESSION.fullmatch(session):
        raise Refused(400, "wrong_session")


def declared_length(request: Request) -> int:
    length = request.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0


async def read_body(request: Request, receive: Receive) -> bytes:
    """Read a body up to BODY_LIMIT within BODY_SECONDS."""
    if declared_length(request) > BODY_LIMIT:
        raise Refused(413, "body_large", limit=BODY_LIMIT)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if len(body) > BODY_LIMIT:
                    raise Refused(413, "body_large", limit=BODY_LIMIT)
                if not message.get("more_body"):  # a caller who left sends no more either
                    return bytes(body)
    except TimeoutError:
        raise Refused(408, "body_slow", seconds=BODY_SECONDS) from None


def parse_json(body: bytes) -> object:
    """Parse a body of bounded depth and number of values."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "not_json") from None
    level, count = [value], 1
    for _ in range(DEPTH):
        inside: list[object] = []
        for each in level:
            if isinstance(each, dict):
                inside.extend(each.values())
            elif isinstance(each, list):
                inside.extend(each)
        count += len(inside)
        if count > VALUES:
            raise Refused(413, "many_values", limit=VALUES)
        if not inside:
            return value
        level = inside
    raise Refused(400, "deep_json", limit=DEPTH)


def without_details(body: bytes) -> bytes:
    """Replace the message of a foreign error in a JSON answer."""
    try:
        content = json.loads(body)
    except ValueError:
        content = {"error": ""}
    if not isinstance(content, dict):
        content = {"error": ""}
    return json.dumps(hide_details(content, words)).encode()


def follow_jobs(server: Any) -> None:
    """Note each job of an MCP server's tools at its request."""
    for name in ("_execute_tool_without_progress", "_execute_tool_with_progress"):
        setattr(server, name, _following(server, getattr(server, name)))


def _following(server: Any, run: Callable[..., Any]) -> Callable[..., Any]:
    def followed(job: Any, *rest: Any) -> Any:
        request = server.mcp_server.request_context.request
        if request is not None:
            caller = request.scope.get("shelftalk.caller")
            if caller is not None:
                caller.follow(job)
        return run(job, *rest)

    return followed
