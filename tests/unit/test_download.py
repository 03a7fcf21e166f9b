"""Downloads against a real HTTP server on localhost that misbehaves in every way it can."""

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from entrench.data import download
from entrench.data.download import Patience
from entrench.errors import EntrenchError

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(attempts=4, connect=2.0, silence=0.5, first_wait=0.01, longest_wait=0.05)


class Server:
    """Answers the n-th request as the n-th behaviour says, then as the last one."""

    def __init__(self):
        self.behaviours = ["good"]
        self.ranges = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                turn = min(len(outer.ranges), len(outer.behaviours) - 1)
                outer.ranges.append(self.headers.get("Range"))
                outer.answer(self, outer.behaviours[turn])

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/eval.jsonl"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request, behaviour):
        if isinstance(behaviour, int):
            request.send_response(behaviour)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if behaviour.startswith("redirects to "):
            request.send_response(302)
            request.send_header("Location", behaviour.removeprefix("redirects to "))
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        asked = request.headers.get("Range")
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if behaviour == "ignores ranges":
            begin = 0
        body = CONTENT[begin:]
        partly = begin or behaviour == "sends a part"
        request.send_response(206 if partly else 200)
        if begin and behaviour != "sends a part":
            request.send_header("Content-Range", f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if behaviour == "wrong bytes":
            request.wfile.write(b"x" * len(body))
        elif behaviour in ("breaks off", "stalls"):
            request.wfile.write(body[: len(body) // 2])
            request.wfile.flush()
            if behaviour == "stalls":
                time.sleep(1.5)
            request.connection.close()
        else:
            request.wfile.write(body)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


def fetched(server, tmp_path, *behaviours):
    server.behaviours = list(behaviours)
    path = tmp_path / "folder" / "eval.jsonl"
    download.fetch(server.url, path, SHA256, QUICK)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["eval.jsonl"]
    return server.ranges


def refused(server, tmp_path, *behaviours):
    server.behaviours = list(behaviours)
    path = tmp_path / "eval.jsonl"
    with pytest.raises(EntrenchError) as caught:
        download.fetch(server.url, path, SHA256, QUICK)
    assert not path.exists()
    return str(caught.value)


def test_a_good_server_is_asked_once(server, tmp_path):
    assert fetched(server, tmp_path, "good") == [None]


@pytest.mark.parametrize("fault", ["breaks off", "stalls"])
def test_an_interrupted_download_resumes_where_it_stood(server, tmp_path, fault):
    ranges = fetched(server, tmp_path, fault, "good")
    assert ranges == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_server_that_ignores_ranges_is_read_from_the_start(server, tmp_path):
    assert len(fetched(server, tmp_path, "breaks off", "ignores ranges")) == 2


def test_a_part_that_does_not_say_which_is_thrown_away(server, tmp_path):
    ranges = fetched(server, tmp_path, "breaks off", "sends a part", "good")
    assert ranges == [None, f"bytes={len(CONTENT) // 2}-", None]


def test_a_part_where_the_whole_was_asked_for_is_named(server, tmp_path):
    assert f"{server.url}: HTTP 206: the server sends a part" in refused(
        server, tmp_path, "sends a part"
    )
    assert server.ranges == [None]


@pytest.mark.parametrize(
    ("target", "cause", "requests"),
    [
        ("file:///etc/passwd", "an address that is not http(s) (No connection adapters", 1),
        ("http://[::1", "Invalid IPv6 URL", 1),
        ("/eval.jsonl", "the server redirects in a loop (Exceeded 30 redirects.)", 31),
    ],
)
def test_a_redirect_that_leads_nowhere_is_named_at_once(server, tmp_path, target, cause, requests):
    message = refused(server, tmp_path, f"redirects to {target}")
    assert message.startswith(f"{server.url}: ")
    assert f"{cause}" in message
    assert message.endswith(
        "check `data.url`, or name a folder with the released files as `data.mirror`"
    )
    assert len(server.ranges) == requests


def test_passing_errors_are_tried_again(server, tmp_path):
    assert fetched(server, tmp_path, 500, 503, 429, "good") == [None] * 4


def test_a_left_over_of_another_file_is_thrown_away(server, tmp_path):
    part = tmp_path / "folder" / ".eval.jsonl.part"
    part.parent.mkdir()
    part.write_bytes(b"y" * 1000)
    assert fetched(server, tmp_path, "good") == ["bytes=1000-", None]


def test_a_left_over_as_long_as_the_file_starts_over(server, tmp_path):
    part = tmp_path / "folder" / ".eval.jsonl.part"
    part.parent.mkdir()
    part.write_bytes(b"y" * len(CONTENT))
    assert fetched(server, tmp_path, 416, "good") == [f"bytes={len(CONTENT)}-", None]


def test_a_second_call_resumes_what_the_first_one_got(server, tmp_path):
    path = tmp_path / "folder" / "eval.jsonl"
    server.behaviours = ["breaks off", 500]
    with pytest.raises(
        EntrenchError, match="run the same command again, which resumes the download"
    ):
        download.fetch(server.url, path, SHA256, QUICK)
    assert fetched(server, tmp_path, "good")[-1] == f"bytes={len(CONTENT) // 2}-"


def test_a_missing_file_is_not_asked_for_again(server, tmp_path):
    message = refused(server, tmp_path, 404)
    assert f"{server.url}: HTTP 404 Not Found: check `data.url`" in message
    assert len(server.ranges) == 1


def test_a_server_that_stays_down_is_named_with_what_it_said(server, tmp_path):
    message = refused(server, tmp_path, 500)
    assert f"{server.url}: given up after 4 attempts (HTTP 500)" in message
    assert len(server.ranges) == 4


def test_wrong_bytes_name_file_expected_and_found(server, tmp_path):
    message = refused(server, tmp_path, "wrong bytes")
    found = hashlib.sha256(b"x" * len(CONTENT)).hexdigest()
    assert f"{tmp_path}/eval.jsonl: SHA-256 expected {SHA256}, found {found}" in message
    assert list(tmp_path.iterdir()) == []


def test_no_server_at_all(tmp_path):
    with pytest.raises(EntrenchError, match=r"given up after 4 attempts \(ConnectionError"):
        download.fetch("http://127.0.0.1:9/x", tmp_path / "x", SHA256, QUICK)


def test_a_folder_is_verified_the_same_way(tmp_path):
    source, path = tmp_path / "mirror.jsonl", tmp_path / "there" / "eval.jsonl"
    source.write_bytes(CONTENT)
    download.take(source, path, SHA256)
    assert path.read_bytes() == CONTENT
    source.write_bytes(b"x")
    with pytest.raises(EntrenchError, match=f"mirror.jsonl: SHA-256 expected {SHA256}, found"):
        download.take(source, path, SHA256)
    with pytest.raises(EntrenchError, match=r"nowhere: no such file: `data.mirror` must hold"):
        download.take(tmp_path / "nowhere", path, SHA256)


def test_a_fetched_file_that_is_gone_is_not_blamed_on_a_mirror(tmp_path):
    with pytest.raises(EntrenchError) as caught:
        download.verified(tmp_path / "eval.jsonl", SHA256)
    assert str(caught.value) == f"{tmp_path}/eval.jsonl: no such file: fetch this file"
