"""A Hugging Face hub of one's own on the loopback: enough of its HTTP interface to push a model and load it again."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """What was asked of it, and the files that each branch holds.

    refused: answer every request for a repository with this status.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str]] = []
        self.created: dict = {}
        self.commits: list[dict] = []
        self.branches: dict[str, dict[str, bytes]] = {"main": {}}
        self.refused: int | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve on a free port of the loopback until the block ends."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        self.server.asked.append(("POST", self.path))
        if self.server.refused:
            self._answer({"error": "You are not allowed to"}, status=self.server.refused)
        elif path == "/api/repos/create":
            self.server.created = json.loads(body)
            self._answer({"url": f"{self.server.url}/someone/twin"})
        elif found := re.fullmatch(r"/api/models/someone/twin/branch/(.+)", path):
            self.server.branches.setdefault(found[1], {})
            self._answer({})
        elif path.startswith("/api/models/someone/twin/preupload/"):
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self._answer({"files": files})
        elif found := re.fullmatch(r"/api/models/someone/twin/commit/(.+)", path):
            self._commit(found[1], [json.loads(line) for line in body.splitlines()])
        elif path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        else:
            self._answer({"error": f"no {path}"}, status=404)

    def _commit(self, branch: str, lines: list[dict]) -> None:
        pull_request = "create_pr=1" in self.path
        files = self.server.branches.setdefault("refs/pr/1" if pull_request else branch, {})
        files |= {
            line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"
        }
        self.server.commits.append(next(line["value"] for line in lines if line["key"] == "header"))
        answer = {"commitUrl": f"{self.server.url}/someone/twin/commit/{COMMIT}", "commitOid": COMMIT}
        if pull_request:
            answer["pullRequestUrl"] = f"{self.server.url}/someone/twin/discussions/1"
        self._answer(answer)

    def do_GET(self) -> None:
        self._read()

    def do_HEAD(self) -> None:
        self._read()

    def _read(self) -> None:
        self.server.asked.append((self.command, self.path))
        path = self.path.partition("?")[0]
        resolved = re.fullmatch(r"/someone/twin/resolve/[^/]+/(.+)", path)
        revision = re.fullmatch(r"/api/models/someone/twin/(revision|tree)/([^/]+)", path)
        files = self.server.branches["main"]
        if self.server.refused:
            self._answer({"error": "no such repository"}, status=self.server.refused)
        elif resolved and resolved[1] in files:
            self._send(files[resolved[1]], "application/octet-stream")
        elif revision and revision[1] == "tree":
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": _etag(data)} for name, data in files.items()
            ]
            self._answer(tree)
        elif revision:
            siblings = [{"rfilename": name} for name in files]
            self._answer({"id": "someone/twin", "sha": COMMIT, "siblings": siblings})
        else:
            self._answer({"error": f"no {path}"}, status=404)

    def _answer(self, content: object, status: int = 200) -> None:
        self._send(json.dumps(content).encode(), "application/json", status)

    def _send(self, data: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(data)),
            "ETag": f'"{_etag(data)}"',
            "X-Repo-Commit": COMMIT,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
