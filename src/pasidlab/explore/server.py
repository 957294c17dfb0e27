"""Serves the explorer to one browser on this machine.

Python's own http.server does: one user, one page and three requests, on loopback. Nobody else is let in: the address holds a random token,
and the Host header must name this machine. So no web site can reach the server under a name of its own (DNS rebinding).
"""

from __future__ import annotations

import json
import secrets
import sys
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

NOT_HERE = "Not here: the whole address, with a token in it, is printed by the pasidlab explore that runs now."
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

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of a request is nothing to be told of."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def answer(self, what: str, asked: dict[str, Any]) -> str | None:
        """The answer to a request, JSON; None if there is no such request. Raises PasidlabError for what cannot be done."""
        if what == "find":
            return json.dumps(walk_data(shortest_way(self.walker, _text(asked, "expression")), self.walker))
        if what == "load":
            return json.dumps(walk_data(self._loaded(asked), self.walker))
        if what not in ("walk", "save"):
            return None
        walk = self.walker.walk(_moves(asked), _number(asked, "initial"))
        return path_json(walk, self.walker, self.opening) if what == "save" else json.dumps(walk_data(walk, self.walker))

    def _loaded(self, asked: dict[str, Any]) -> Walk:
        """The walk of a saved path or counterexample, an object of ``counterexamples`` in the document."""
        try:
            moves, initial = _moves(asked), _numbers(asked.get("initial", []))
        except (ValueError, TypeError):
            hint = "write one with: pasidlab check DESIGN -o FILE.json"
            raise PasidlabError("the moves in that file, or its initial state, are damaged", hint=hint) from None
        return self.walker.again(moves, initial)


class _Handler(BaseHTTPRequestHandler):
    server: Explorer
    timeout = 60  # seconds without a byte

    def do_GET(self) -> None:
        """The page."""
        if wrong := self._wrong() or ("" if self._rest() == "" else NOT_HERE):
            self._send(HTTPStatus.NOT_FOUND, "text/plain", f"{wrong}\n")
        else:
            self._send(HTTPStatus.OK, "text/html", explore_page(self.server.first, self.server.walker))

    def do_POST(self) -> None:
        """A request of the page: JSON in, JSON out."""
        kind, length = self.headers.get_content_type(), self.headers.get("Content-Length", "")
        if wrong := self._wrong() or ("" if kind == "application/json" else "a request of the page is application/json"):
            self._fail(HTTPStatus.NOT_FOUND, wrong)
            return
        if not length.isdecimal():
            self._fail(HTTPStatus.LENGTH_REQUIRED, "a request of the page has a Content-Length")
            return
        if int(length) > MOST_BYTES:
            self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"too long: {int(length):,} bytes, {MOST_BYTES:,} are the most")
            return
        try:
            asked = json.loads(self.rfile.read(int(length)))
            if not isinstance(asked, dict):
                raise ValueError(asked)
            with self.server.one_at_a_time:
                answer = self.server.answer(self._rest(), asked)
        except (ValueError, RecursionError):
            self._fail(HTTPStatus.BAD_REQUEST, "not a request of this page")
        except PasidlabError as error:
            self._fail(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self._send(HTTPStatus.OK if answer else HTTPStatus.NOT_FOUND, "application/json", answer or '{"error": "no such request"}')

    def _rest(self) -> str:
        return self.path.removeprefix(f"/{self.server.token}/")

    def _wrong(self) -> str:
        """What keeps a request out; empty: it is let in."""
        hosts = [f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")]
        if self.headers.get("Host") not in hosts:
            return f"This server answers to the names {' and '.join(hosts)} only."
        known = secrets.compare_digest(self.path.split("/")[1].encode() if self.path.count("/") > 1 else b"", self.server.token.encode())
        return "" if known else NOT_HERE

    def _fail(self, status: HTTPStatus, what: str) -> None:
        self._send(status, "application/json", json.dumps({"error": what}))

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
