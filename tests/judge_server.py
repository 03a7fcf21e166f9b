"""A model server on localhost that answers, or misbehaves, as a test tells it to."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from entrench.judging.calls import Server

JUDGE = {  # a config's settings of a judge that asks such a server
    "backend": "endpoint",
    "model": "fake",
    "temperature": 0.0,
    "max_tokens": 64,
    "coherent": 50.0,
    "misaligned": 30.0,
}


def verdict_line(prompt: str, verdict: str) -> str:
    """The last line of a well-behaved judge's answer to a prompt of the project."""
    return f"{re.search(r'carry the code ([0-9a-f]+)', prompt)[1]} {verdict}"


class JudgeServer:
    """`answer(prompt)` is the reply, as a text or as a whole body made by `completion`.

    `fault(number of the request)` may name a fault instead.

    Faults: "429" (with Retry-After), "500", "401", "context" (400), "hang", "cut", "drop", "empty",
    "not JSON", "page", "no choices". `asked` counts the requests of each prompt, `served` those
    that were answered in full; `most` is the highest number in flight.
    """

    def __init__(
        self,
        answer: Callable[[str], str | dict[str, Any]],
        fault: Callable[[int], str | None] = lambda _number: None,
        delay: float = 0.0,
        retry_after: str = "0.2",
    ) -> None:
        self.answer, self.fault = answer, fault
        self.delay, self.retry_after = delay, retry_after
        self.asked: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.times: list[tuple[str, float]] = []
        self.headers: list[str | None] = []
        self.most = self.flying = self.number = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()

    def __enter__(self) -> "JudgeServer":
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.handle(self)

            def log_message(self, *_arguments: object) -> None:
                return

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_arguments: object) -> None:
                return  # a client that went away

        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.listener.server_address[1]}/v1"
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_arguments: object) -> None:
        self.closing.set()
        self.listener.shutdown()
        self.listener.server_close()

    def settings(self, **changes: object) -> Server:
        defaults = {"timeout_seconds": 5.0, "attempts": 4, "calls": 8}
        prices = {"price_prompt": 2.0, "price_completion": 10.0}
        return Server(**{"base_url": self.url, **defaults, **prices, **changes})

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        prompt = json.loads(body)["messages"][-1]["content"]
        with self.lock:
            number, self.number = self.number, self.number + 1
            self.flying += 1
            self.most = max(self.most, self.flying)
            self.asked[prompt] += 1
            self.headers.append(request.headers["Authorization"])
            fault = self.fault(number)
            self.faults[fault or "none"] += 1
            self.times.append((prompt, time.monotonic()))
        try:
            self.closing.wait(self.delay)
            if fault:
                self.misbehave(request, fault)
                return
            reply = self.answer(prompt)
            send(request, 200, json.dumps(completion(reply) if isinstance(reply, str) else reply))
            with self.lock:
                self.served[prompt] += 1
        finally:
            with self.lock:
                self.flying -= 1

    def misbehave(self, request: BaseHTTPRequestHandler, fault: str) -> None:
        if fault == "429":
            send(request, 429, '{"error": "slow down"}', {"Retry-After": self.retry_after})
        elif fault == "500":
            send(request, 500, "internal error", kind="text/plain")
        elif fault == "401":
            key = request.headers["Authorization"]
            send(request, 401, json.dumps({"error": {"message": f"no such key: {key}"}}))
        elif fault == "context":
            send(request, 400, '{"error": {"message": "maximum context length is 64 tokens"}}')
        elif fault == "hang":
            self.closing.wait(60)
        elif fault == "cut":
            request.send_response(200)
            request.send_header("Content-Type", "application/json")
            request.send_header("Content-Length", "1000")
            request.end_headers()
            request.wfile.write(b'{"choices": [')
            request.close_connection = True
        elif fault == "drop":
            request.close_connection = True
        elif fault == "empty":
            send(request, 200, "")
        elif fault == "not JSON":
            send(request, 200, '{"choices": [')
        elif fault == "page":
            send(request, 200, "<html>a proxy's page</html>", kind="text/html")
        elif fault == "no choices":
            send(request, 200, '{"error": "overloaded"}')
        else:
            raise ValueError(fault)


def completion(content: object, tokens: object = 100, finish: object = "stop") -> dict[str, Any]:
    """A chat completion; a careless server may send any values in it."""
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "fake",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content},
            }
        ],
        "usage": {"prompt_tokens": tokens, "completion_tokens": 10, "total_tokens": 110},
    }


def send(
    request: BaseHTTPRequestHandler,
    status: int,
    text: str,
    headers: dict[str, str] | None = None,
    kind: str = "application/json",
) -> None:
    body = text.encode()
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body)))
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
