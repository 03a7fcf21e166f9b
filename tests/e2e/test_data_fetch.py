"""The rule that fetches released files, run by Snakemake against a real server and a folder."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from workspace import Workspace

PATH = "sycophancy/files/eval.jsonl"
TARGET = f"results/data/release/{PATH}"
CONTENT = b'{"messages": []}' * (1 << 14)  # 256 KiB, so that half of it is whole chunks
STUDY = "config/config.yaml"


@pytest.fixture
def workspace(tmp_path):
    """A checkout whose manifest expects CONTENT for one file."""
    made = Workspace(tmp_path / "checkout")
    manifest = made.folder / "resources/datasets.yaml"
    listed = yaml.safe_load(manifest.read_text())
    listed["files"]["sycophancy"]["eval"]["sha256"] = hashlib.sha256(CONTENT).hexdigest()
    manifest.write_text(yaml.safe_dump(listed))
    return made


@pytest.fixture
def server():
    """Breaks off half-way, then serves what is left of CONTENT; `asked` holds path and range.

    Files of reward hacking lead astray: to a part without a range, out of HTTP, in a circle.
    """
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if "reward_hacking" in self.path:
                self.astray()
                return
            half = len(CONTENT) // 2
            asked.append((self.path, self.headers.get("Range")))
            begin = half if self.headers.get("Range") == f"bytes={half}-" else 0
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header(
                    "Content-Range", f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}"
                )
            self.send_header("Content-Length", str(len(CONTENT) - begin))
            self.end_headers()
            self.wfile.write(CONTENT[begin:] if begin else CONTENT[:half])

        def astray(self):
            self.send_response(206 if "eval" in self.path else 302)
            self.send_header("Content-Length", "0")
            self.send_header(
                "Location", self.path if "induction" in self.path else "file:///etc/hostname"
            )
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/release", asked
    server.shutdown()
    server.server_close()


def fetch(workspace, **data):
    """Make the file with these keys of `data`; Snakemake's status and the job's log."""
    name = workspace.derive("fetch.yaml", lambda c: c["data"].update(data), config=STUDY)
    done = workspace.snakemake("--", TARGET, config=name)
    log = workspace.folder / f"logs/data_fetch/{PATH}.log"
    assert log.is_file(), done.stdout + done.stderr
    return done.returncode, log.read_text()


def test_the_rule_resumes_from_the_address_of_the_config(workspace, server):
    url, asked = server
    status, log = fetch(workspace, url=url)
    assert status == 0, log
    assert (workspace.folder / TARGET).read_bytes() == CONTENT
    assert asked == [
        (f"/release/{PATH}", None),
        (f"/release/{PATH}", f"bytes={len(CONTENT) // 2}-"),
    ]


def test_the_rule_takes_the_file_from_a_folder_of_any_name(workspace, tmp_path):
    mirror = tmp_path / "a 'mirror' of $HOME"
    status, log = fetch(workspace, mirror=str(mirror))
    assert status == 1
    assert f"{mirror}/{PATH}: no such file: `data.mirror` must hold" in log
    (mirror / PATH).parent.mkdir(parents=True)
    (mirror / PATH).write_bytes(CONTENT)
    status, log = fetch(workspace, mirror=str(mirror))
    assert status == 0, log
    assert (workspace.folder / TARGET).read_bytes() == CONTENT


def test_the_log_names_why_a_server_leads_nowhere(workspace, server):
    causes = {
        "eval": "HTTP 206: the server sends a part",
        "induction": "the server redirects in a loop",
        "consistency": "redirects to an address that is not http(s) (No connection adapters were "
        "found for 'file:///etc/hostname')",
    }
    url, _asked = server
    name = workspace.derive("astray.yaml", lambda c: c["data"].update(url=url), config=STUDY)
    folder = "data/release/reward_hacking/files"
    wanted = [f"results/{folder}/{slot}.jsonl" for slot in causes]
    assert workspace.snakemake("--keep-going", "--", *wanted, config=name).returncode == 1
    for slot, cause in causes.items():
        log = workspace.folder / f"logs/data_fetch/reward_hacking/files/{slot}.jsonl.log"
        (line,) = log.read_text().splitlines()
        assert line.startswith(f"error: {url}/reward_hacking/files/{slot}.jsonl: ")
        assert cause in line
    assert not [*(workspace.folder / "results" / folder).rglob("*")]
