"""Serves the explorer to one browser on this machine.

Python's own http.server does: one user, one page and three requests, on loopback. Nobody else is let in: the address holds a random
token, and the Host header must name this machine, so that no web site can reach the server under a name of its own (DNS rebinding).
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from pasidlab.designs import Opening
from pasidlab.errors import PasidlabError
from pasidlab.explore.goal import shortest_way
from pasidlab.explore.page import explore_page, path_json, walk_data
from pasidlab.explore.walk import Walk, Walker
from pasidlab.trace.steps import Move

MOST_BYTES = 1 << 20  # of a request
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Explorer(ThreadingHTTPServer):
    """The server: ``url`` is where its page is. ``first`` is the walk it shows first."""

    daemon_threads = True

    def __init__(self, walker: Walker, first: Walk, opening: Opening | None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.walker, self.first, self.opening = walker, first, opening
        self.token = secrets.token_urlsafe(16)
        self.one_at_a_time = Lock()

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def answer(self, what: str, asked: dict[str, Any]) -> str | None:
        """The answer to a request, JSON; None if there is no such request. Raises PasidlabError for what cannot be done."""
        if what == "find":
            return json.dumps(walk_data(shortest_way(self.walker, _text(asked, "expression")), self.walker))
        if what not in ("walk", "save"):
            return None
        walk = self.walker.walk(_moves(asked), _number(asked, "initial"))
        return path_json(walk, self.walker, self.opening) if what == "save" else json.dumps(walk_data(walk, self.walker))


class _Handler(BaseHTTPRequestHandler):
    server: Explorer

    def do_GET(self) -> None:
        """The page."""
        if self._is_let_in() and self._rest() == "":
            self._send(HTTPStatus.OK, "text/html", explore_page(self.server.first, self.server.walker))
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", "The address is printed by pasidlab explore.\n")

    def do_POST(self) -> None:
        """A request of the page: JSON in, JSON out."""
        if not self._is_let_in() or self.headers.get_content_type() != "application/json":
            self._send(HTTPStatus.NOT_FOUND, "text/plain", "Not here.\n")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text/plain", "Too long.\n")
            return
        try:
            asked = json.loads(self.rfile.read(int(length)))
            if not isinstance(asked, dict):
                raise ValueError(asked)
            with self.server.one_at_a_time:
                answer = self.server.answer(self._rest(), asked)
        except (ValueError, RecursionError):
            self._send(HTTPStatus.BAD_REQUEST, "application/json", json.dumps({"error": "not a request of this page"}))
        except PasidlabError as error:
            self._send(HTTPStatus.BAD_REQUEST, "application/json", json.dumps({"error": str(error)}))
        else:
            self._send(HTTPStatus.OK if answer else HTTPStatus.NOT_FOUND, "application/json", answer or '{"error": "no such request"}')

    def _rest(self) -> str:
        return self.path.removeprefix(f"/{self.server.token}/")

    def _is_let_in(self) -> bool:
        hosts = {f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")}
        known = secrets.compare_digest(self.path.split("/")[1].encode() if self.path.count("/") > 1 else b"", self.server.token.encode())
        return known and self.headers.get("Host") in hosts

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(body)), "Cache-Control": "no-store",
            "Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
        }.items():  # fmt: skip
            self.send_header(name, value)
        with suppress(ConnectionError):  # the browser does not wait for it any more
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not told."""


def _moves(asked: dict[str, Any]) -> list[Move]:
    """The moves of a request. Raises ValueError if they are none."""
    entries = asked.get("moves", [])
    if not isinstance(entries, list):
        raise ValueError(entries)
    return [_move(entry) for entry in entries]


def _move(entry: object) -> Move:
    match entry:
        case [str(action), list(params), list(choices)]:
            return Move(action, _numbers(params), _numbers(choices))
    raise ValueError(entry)


def _numbers(values: list[object]) -> tuple[int, ...]:
    found = tuple(value for value in values if isinstance(value, int) and not isinstance(value, bool))
    if len(found) != len(values):
        raise ValueError(values)
    return found


def _number(asked: dict[str, Any], name: str) -> int:
    value = asked.get(name, 0)
    if type(value) is not int:
        raise ValueError(value)
    return value


def _text(asked: dict[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise ValueError(value)
    return value
