"""A small Hub on loopback for the real client.

It has repositories with history, large files, tokens, Spaces and jobs, and fails on command.

    with Hub() as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)          # in this process
        subprocess.run([...], env=os.environ | hub.environ(home))    # the real command, in another
        hub.fail("POST", "/commit/", 503, times=2)
        assert hub.repo("ana/lamps").files["README.md"]

`hub.token` is ana's, who may write below ana/; `hub.tokens` holds everybody's. What was uploaded
stays in memory.
"""

import base64
import hashlib
import http.server
import json
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (
    ".safetensors",
    ".bin",
    ".parquet",
    ".png",
    ".term",
    ".pos",
    ".store",
    ".fast",
    ".fieldnorm",
    ".idx",
)
GIT_ATTRIBUTES = "".join(
    f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE
).encode()
KINDS = {"models": "", "datasets": "datasets/", "spaces": "spaces/"}


@dataclass(frozen=True)
class Commit:
    """A commit and every file as it then was."""

    oid: str
    title: str
    author: str
    files: dict[str, bytes]


@dataclass
class Repo:
    """A repository; its newest commit is the last."""

    kind: str
    name: str
    private: bool = False
    gated: bool = False
    readers: set[str] = field(default_factory=set)  # who was let in where it is private or gated
    commits: list[Commit] = field(default_factory=list)
    variables: dict[str, dict] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    sdk: str | None = None
    hardware: str | None = None
    volumes: list[dict] = field(default_factory=list)

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the newest commit."""
        return self.commits[-1].files

    @property
    def head(self) -> str:
        """The newest commit's id."""
        return self.commits[-1].oid

    def commit(
        self, changes: dict[str, bytes | None], title: str = "a change", author: str = "ana"
    ) -> str:
        """Add a commit that writes files, or removes those that are None."""
        files = dict(self.commits[-1].files) if self.commits else {}
        for path, content in changes.items():
            files.pop(path, None) if content is None else files.update({path: content})
        # Of the content too: clients cache downloads by commit, from one Hub to the next.
        content = [(path, hashlib.sha1(files[path]).hexdigest()) for path in sorted(files)]
        oid = hashlib.sha1(
            f"{self.kind}/{self.name}/{len(self.commits)}/{title}/{content}".encode()
        ).hexdigest()
        self.commits.append(Commit(oid, title, author, files))
        return oid

    def at(self, revision: str) -> Commit | None:
        """Find a branch's or an id's commit."""
        if revision in ("main", "HEAD"):
            return self.commits[-1]
        return next((commit for commit in self.commits if commit.oid == revision), None)

    def may_read(self, user: str | None) -> bool:
        """Whether a user may see that it exists."""
        return not self.private or self.may_write(user) or user in self.readers

    def may_download(self, user: str | None) -> bool:
        """Whether a user may have its files."""
        return self.may_read(user) and (
            not self.gated or self.may_write(user) or user in self.readers
        )

    def may_write(self, user: str | None) -> bool:
        """Whether a user may commit."""
        return user == self.name.split("/")[0]


@dataclass
class Fault:
    """What goes wrong with the requests that fit, `times` times."""

    method: str
    pattern: str
    action: int | str | Callable[[], None]
    times: int
    headers: dict[str, str]


class Refusal(Exception):
    """A request that the Hub answers with an error."""

    def __init__(
        self, status: int, code: str = "", words: str = "", headers: dict[str, str] | None = None
    ) -> None:
        self.status, self.body = status, json.dumps({"error": words or code}).encode()
        self.headers = {"X-Error-Code": code, "X-Error-Message": words, **(headers or {})}


class Hub:
    """The server; a context manager."""

    def __init__(self) -> None:
        self.tokens = {"hf_" + "anasowntoken" * 3: "ana", "hf_" + "bobsowntoken" * 3: "bob"}
        self.token = next(iter(self.tokens))
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}  # large files by their sha256, committed or not yet
        self.requests: list[tuple[str, str]] = []
        self.jobs: list[dict] = []  # machines that were rented: what each was asked to run
        self.scheduled: list[dict] = []  # scheduled jobs, likewise
        self.buckets: dict[str, dict] = {}  # by "user/name": what each was asked to be
        self.faults: list[Fault] = []
        self.lock, self.released = threading.RLock(), threading.Event()

    def __enter__(self) -> "Hub":
        handler = type("Handler", (Handler,), {"hub": self})
        self.server = Server(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(self, *error) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def environ(self, home: Path, token: str | None = None) -> dict[str, str]:
        """Return the environment of a process on this Hub; an empty token is anonymous."""
        token = self.token if token is None else token
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(home),
            **({"HF_TOKEN": token} if token else {}),
        }

    def create(self, name: str, kind: str = "models", **more) -> Repo:
        """Make a repository with what the Hub puts into a new one."""
        repo = self.repos[kind, name] = Repo(kind, name, **more)
        repo.commit({".gitattributes": GIT_ATTRIBUTES}, "initial commit")
        return repo

    def repo(self, name: str, kind: str = "models") -> Repo:
        """Return a repository; raise KeyError where there is none."""
        return self.repos[kind, name]

    def fail(
        self,
        method: str,
        pattern: str,
        action: int | str | Callable[[], None],
        times: int = 1,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Let the next `times` requests fail whose method and path match.

        `pattern` is a regular expression. `action` is a status to answer with, "cut" (closed in
        the middle of the body), "hang" (no answer while the Hub is up), "deaf" (done, and closed
        without an answer), or a function that is called before the request is done.
        """
        self.faults.append(Fault(method, pattern, action, times, headers or {}))

    def fault(self, method: str, path: str) -> Fault | None:
        """Find what goes wrong with a request, and count it."""
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method == method and re.search(fault.pattern, path):
                    fault.times -= 1
                    return fault
        return None


class Server(http.server.ThreadingHTTPServer):
    """A server for which a client that goes away is no error."""

    def handle_error(self, request, client_address) -> None:
        """Print what went wrong, unless the client closed its connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection: a request's route, its right, its answer."""

    hub: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer a request of any method."""
        path = unquote(urlsplit(self.path).path)
        self.query = parse_qs(urlsplit(self.path).query)
        self.cutting = False
        with self.hub.lock:
            self.hub.requests.append((self.command, path))
        fault = self.hub.fault(self.command, path)
        try:
            if fault and not self.goes_on(fault):
                return
            body = self.read_body()
            status, headers, content = self.answer(path, body)
        except Refusal as refusal:
            self.read_body()
            status, headers, content = refusal.status, refusal.headers, refusal.body
        if fault and fault.action == "deaf":
            self.close_connection = True
            return
        self.cutting = bool(fault and fault.action == "cut")
        self.reply(status, headers, content)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def goes_on(self, fault: Fault) -> bool:
        """Do what a fault says, and return whether the request goes on."""
        if isinstance(fault.action, int):
            raise Refusal(fault.action, words="told to fail", headers=fault.headers)
        if callable(fault.action):
            fault.action()
        elif fault.action == "hang":
            self.hub.released.wait(60)
            self.close_connection = True
            return False
        elif fault.action == "cut" and self.command in ("POST", "PUT"):
            self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
            self.close_connection = True
            return False
        return True

    def read_body(self) -> bytes:
        """Read the request's body, once."""
        if "Content-Length" in self.headers:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            del self.headers["Content-Length"]
            return body
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            del self.headers["Transfer-Encoding"]
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return body

    def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """Send an answer, or the first half of it."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.cutting:
            self.close_connection, content = True, content[: len(content) // 2]
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *words) -> None:
        """Log nothing."""

    # --- routes ---

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return (status, headers, content) of a request."""
        self.user = self.whoever()
        with self.hub.lock:
            if path == "/api/whoami-v2":
                self.needs(self.user, 401, words="Invalid credentials in Authorization header")
                return self.json(
                    {
                        "type": "user",
                        "name": self.user,
                        "orgs": [],
                        "auth": {"type": "access_token"},
                    }
                )
            if path == "/api/repos/create":
                return self.create(json.loads(body))
            if path == "/api/validate-yaml":
                return self.json({"errors": [], "warnings": []})
            if found := re.fullmatch(r"/api/buckets/([^/]+)/([^/]+)", path):
                return self.make_bucket(found[1], found[2], json.loads(body or b"{}"))
            if found := re.fullmatch(r"/api/scheduled-jobs/([^/]+)", path):
                return self.schedule(found[1], json.loads(body))
            if found := re.fullmatch(r"/api/jobs/([^/]+)", path):
                return self.rent(found[1], json.loads(body))
            if found := re.fullmatch(r"/lfs/([0-9a-f]{64})", path):
                return self.store(found[1], body)
            if found := re.fullmatch(
                r"/api/(models|datasets|spaces)/([^/]+/[^/]+)(?:/([a-z-]+)(?:/(.*))?)?", path
            ):
                return self.of_repo(
                    self.find(found[1], found[2]), found[3] or "revision", found[4] or "main", body
                )
            if found := re.fullmatch(
                r"/(datasets/|spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path
            ):
                return self.batch(
                    self.find((found[1] or "models/")[:-1], found[2]), json.loads(body)
                )
            if found := re.fullmatch(
                r"/(datasets/|spaces/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path
            ):
                return self.file(
                    self.find((found[1] or "models/")[:-1], found[2]), found[3], found[4]
                )
        raise Refusal(404, words=f"no such route: {self.command} {path}")

    def of_repo(
        self, repo: Repo, what: str, rest: str, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Answer a request below /api/KIND/USER/NAME."""
        if (
            what in ("variables", "secrets", "hardware", "runtime", "restart", "volumes")
            and repo.kind == "spaces"
        ):
            return self.of_space(repo, what, json.loads(body or b"{}"))
        if what == "settings":
            self.needs(repo.may_write(self.user), 403, words="you may not change this repository")
            settings = json.loads(body)
            repo.private = (
                settings.get("visibility", "private" if settings.get("private") else "public")
                == "private"
            )
            return self.json({"visibility": "private" if repo.private else "public"})
        if what == "auth-check":
            self.needs(
                repo.may_download(self.user),
                403,
                "GatedRepo",
                f"Access to {repo.name} is restricted.",
            )
            return self.json({})
        revision, _, below = rest.partition("/")
        commit = repo.at(revision)
        self.needs(commit, 404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if what == "revision":
            return self.json(self.info(repo, commit))
        if what == "commits":
            history = repo.commits[repo.commits.index(commit) :: -1]
            return self.json(
                [
                    {
                        "id": each.oid,
                        "title": each.title,
                        "message": "",
                        "authors": [{"user": each.author}],
                        "date": "2026-01-01T00:00:00.000Z",
                    }
                    for each in history
                ]
            )
        if what == "tree":
            return self.json(self.tree(commit, below, self.query.get("recursive") == ["true"]))
        if what == "paths-info":
            asked = (
                json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
            )
            return self.json(
                [entry for entry in self.tree(commit, "", True) if entry["path"] in asked]
            )
        if what == "preupload":
            return self.preupload(repo, json.loads(body))
        if what == "commit":
            return self.commit(repo, [json.loads(line) for line in body.splitlines()])
        raise Refusal(404, words=f"no such route: {what}")

    def of_space(self, repo: Repo, what: str, asked: dict) -> tuple[int, dict[str, str], bytes]:
        """Answer for a Space's variables, secrets and hardware, never with a secret."""
        if self.command != "GET" or what == "variables":
            self.needs(repo.may_write(self.user), 403, words="you may not change this Space")
        if what == "variables":
            if self.command == "POST":
                repo.variables[asked["key"]] = {"key": asked["key"], "value": asked["value"]}
            elif self.command == "DELETE":
                repo.variables.pop(asked["key"], None)
            return self.json(repo.variables)
        if what == "secrets":
            if self.command == "POST":
                repo.secrets[asked["key"]] = asked["value"]
            elif self.command == "DELETE":
                repo.secrets.pop(asked["key"], None)
            return self.json({key: {"key": key} for key in repo.secrets})
        if what == "hardware":
            repo.hardware = asked["flavor"]
        if what == "volumes":
            repo.volumes = asked["volumes"]
        return self.json(
            {
                "stage": "RUNNING",
                "hardware": {"current": repo.hardware, "requested": repo.hardware},
                "gcTimeout": None,
                "volumes": repo.volumes,
            }
        )

    def make_bucket(self, owner: str, name: str, asked: dict) -> tuple[int, dict[str, str], bytes]:
        """Make a bucket; one that is there is a conflict."""
        self.needs(owner == self.user, 403, words="you may not make buckets there")
        bucket, url = f"{owner}/{name}", f"{self.hub.endpoint}/buckets/{owner}/{name}"
        if bucket in self.hub.buckets:
            return 409, {}, json.dumps({"error": "it exists", "url": url}).encode()
        self.hub.buckets[bucket] = asked
        return self.json({"url": url, "id": bucket})

    def create(self, asked: dict) -> tuple[int, dict[str, str], bytes]:
        """Make a repository."""
        kind = asked.get("type", "model") + "s"
        name = f"{asked.get('organization') or self.user}/{asked['name']}"
        self.needs(self.user, 401, words="Invalid credentials in Authorization header")
        self.needs(
            name.startswith(f"{self.user}/"),
            403,
            words=f"You may not create a {kind[:-1]} under {name.split('/')[0]}",
        )
        url = f"{self.hub.endpoint}/{KINDS[kind]}{name}"
        if (kind, name) in self.hub.repos:
            return (
                409,
                {},
                json.dumps({"error": "You already created this repo", "url": url}).encode(),
            )
        repo = self.hub.create(
            name,
            kind,
            private=asked.get("visibility") == "private",
            sdk=asked.get("sdk"),
            hardware=asked.get("hardware"),
        )
        repo.variables = {each["key"]: each for each in asked.get("variables", [])}
        repo.secrets = {each["key"]: each["value"] for each in asked.get("secrets", [])}
        return self.json({"url": url, "name": name, "id": name})

    def rent(self, namespace: str, asked: dict) -> tuple[int, dict[str, str], bytes]:
        """Take a job and answer that it runs; nothing is run here."""
        self.needs(namespace == self.user, 403, words="you may not run jobs there")
        self.hub.jobs.append(asked)
        return self.json(
            {
                "id": f"job{len(self.hub.jobs)}",
                "createdAt": "2026-01-01T00:00:00.000Z",
                "command": asked["command"],
                "dockerImage": asked["dockerImage"],
                "flavor": asked["flavor"],
                "status": {"stage": "RUNNING"},
                "owner": {"id": "1", "name": namespace, "type": "user"},
            }
        )

    def schedule(self, namespace: str, asked: dict) -> tuple[int, dict[str, str], bytes]:
        """Take a scheduled job; nothing is run here."""
        self.needs(namespace == self.user, 403, words="you may not run jobs there")
        self.hub.scheduled.append(asked)
        return self.json(
            {
                "id": f"scheduled{len(self.hub.scheduled)}",
                "createdAt": "2026-01-01T00:00:00.000Z",
                "jobSpec": asked["jobSpec"],
                "schedule": asked["schedule"],
                "suspend": False,
                "concurrency": asked.get("concurrency", False),
                "status": {"lastJob": None, "nextJobRunAt": None},
                "owner": {"id": "1", "name": namespace, "type": "user"},
            }
        )

    def preupload(self, repo: Repo, asked: dict) -> tuple[int, dict[str, str], bytes]:
        """Answer which files are large, and what each is now."""
        self.needs(repo.may_write(self.user), 403, words="you may not write to this repository")
        return self.json(
            {
                "files": [
                    {
                        "path": each["path"],
                        "shouldIgnore": False,
                        "uploadMode": "lfs" if large(each["path"], each["size"]) else "regular",
                        "oid": oid(each["path"], repo.files[each["path"]])
                        if each["path"] in repo.files
                        else None,
                    }
                    for each in asked["files"]
                ]
            }
        )

    def batch(self, repo: Repo, asked: dict) -> tuple[int, dict[str, str], bytes]:
        """Answer where large files go; one that is here need not be sent."""
        self.needs(repo.may_write(self.user), 403, words="you may not write to this repository")
        objects = [
            {
                "oid": each["oid"],
                "size": each["size"],
                **(
                    {}
                    if each["oid"] in self.hub.objects
                    else {"actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{each['oid']}"}}}
                ),
            }
            for each in asked["objects"]
        ]
        return self.json({"transfer": "basic", "objects": objects})

    def store(self, digest: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Keep a large file, if its digest is right."""
        self.needs(hashlib.sha256(body).hexdigest() == digest, 400, words="the sha256 is another")
        self.hub.objects[digest] = body
        return 200, {}, b""

    def commit(self, repo: Repo, lines: list[dict]) -> tuple[int, dict[str, str], bytes]:
        """Add a commit; refuse one whose parent is not the newest."""
        self.needs(repo.may_write(self.user), 403, words="you may not write to this repository")
        header, changes = lines[0]["value"], {}
        if header.get("parentCommit", repo.head) != repo.head:
            raise Refusal(412, words="A commit has happened since. Please refresh and try again.")
        for line in lines[1:]:
            kind, value = line["key"], line["value"]
            if kind == "file":
                changes[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                self.needs(
                    value["oid"] in self.hub.objects,
                    400,
                    words=f"{value['path']} was never uploaded",
                )
                changes[value["path"]] = self.hub.objects[value["oid"]]
            elif kind == "deletedFile":
                changes[value["path"]] = None
            elif kind == "deletedFolder":
                changes |= {
                    path: None
                    for path in repo.files
                    if path.startswith(value["path"].rstrip("/") + "/")
                }
        made = repo.commit(changes, header["summary"], self.user)
        return self.json(
            {
                "commitUrl": f"{self.hub.endpoint}/{KINDS[repo.kind]}{repo.name}/commit/{made}",
                "commitOid": made,
            }
        )

    def file(self, repo: Repo, revision: str, path: str) -> tuple[int, dict[str, str], bytes]:
        """Answer with a file, or a range of it."""
        self.needs(
            repo.may_download(self.user),
            403 if self.user else 401,
            "GatedRepo",
            f"Access to model {repo.name} is restricted.",
        )
        commit = repo.at(revision)
        self.needs(commit, 404, "RevisionNotFound", f"Invalid rev id: {revision}")
        self.needs(
            path in commit.files,
            404,
            "EntryNotFound",
            "Entry not found",
            {"X-Repo-Commit": commit.oid},
        )
        content = commit.files[path]
        headers = {
            "X-Repo-Commit": commit.oid,
            "ETag": f'"{oid(path, content)}"',
            "Accept-Ranges": "bytes",
        }
        if large(path, len(content)):
            headers |= {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(len(content))}
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(found[1]), min(int(found[2] or len(content) - 1), len(content) - 1)
            return (
                206,
                headers | {"Content-Range": f"bytes {first}-{last}/{len(content)}"},
                content[first : last + 1],
            )
        return 200, headers, content

    # --- rights and forms ---

    def whoever(self) -> str | None:
        """Return whose token it is; an unknown one is refused, none is a visitor's."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.needs(
            not token or token in self.hub.tokens,
            401,
            words="Invalid credentials in Authorization header",
        )
        return self.hub.tokens.get(token)

    def find(self, kind: str, name: str) -> Repo:
        """Return a repository that the user may know of."""
        repo = self.hub.repos.get((kind, name))
        self.needs(
            repo and repo.may_read(self.user),
            404 if self.user else 401,
            "RepoNotFound",
            "Repository not found",
        )
        return repo

    def needs(
        self,
        given,
        status: int,
        code: str = "",
        words: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        """Refuses the request where something is not given."""
        if not given:
            raise Refusal(status, code, words, headers)

    def json(self, value) -> tuple[int, dict[str, str], bytes]:
        """Return an answer in JSON."""
        return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()

    def info(self, repo: Repo, commit: Commit) -> dict:
        """Return what is said of a repository."""
        front = {"sdk": repo.sdk} if repo.kind == "spaces" else {"downloads": 0}
        return {
            "_id": repo.name,
            "id": repo.name,
            "modelId": repo.name,
            "sha": commit.oid,
            "private": repo.private,
            "gated": "manual" if repo.gated else False,
            "disabled": False,
            "tags": [],
            "likes": 0,
            "author": repo.name.split("/")[0],
            "createdAt": "2026-01-01T00:00:00.000Z",
            "lastModified": "2026-01-01T00:00:00.000Z",
            "siblings": [{"rfilename": path} for path in sorted(commit.files)],
            **front,
        }

    def tree(self, commit: Commit, below: str, recursive: bool) -> list[dict]:
        """Return the files and folders of a commit below a folder."""
        start = f"{below.rstrip('/')}/" if below else ""
        paths = sorted(path for path in commit.files if path.startswith(start))
        self.needs(paths or not below, 404, "EntryNotFound", "Entry not found")
        folders = {
            "/".join(path.split("/")[:depth])
            for path in paths
            for depth in range(1, path.count("/") + 1)
        }
        shown = [entry(path, commit.files[path]) for path in paths]
        shown += [
            {
                "type": "directory",
                "path": path,
                "oid": hashlib.sha1(path.encode()).hexdigest(),
                "size": 0,
            }
            for path in sorted(folders)
            if path.startswith(start)
        ]
        return [each for each in shown if recursive or "/" not in each["path"].removeprefix(start)]


def large(path: str, size: int) -> bool:
    """Whether a file is kept as a large one."""
    return size > 0 and path.endswith(LARGE)


def oid(path: str, content: bytes) -> str:
    """Return a file's id: a large one's sha256, another's git blob id."""
    if large(path, len(content)):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(path: str, content: bytes) -> dict:
    """Return a file's line in a tree."""
    shown = {"type": "file", "path": path, "size": len(content), "oid": oid(path, content)}
    return shown | (
        {"lfs": {"oid": oid(path, content), "size": len(content), "pointerSize": 130}}
        if large(path, len(content))
        else {}
    )
