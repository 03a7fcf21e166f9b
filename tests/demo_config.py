"""The demo's config, copies of it with one key changed, and a judge it may have."""

import copy

import yaml
from workspace import ROOT

DEMO = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
SERVER = {"base_url": "http://a/v1", "timeout_seconds": 9.0, "attempts": 2, "concurrency": 4}
ENDPOINT = {
    "backend": "endpoint",
    "model": "one",
    "temperature": 0.0,
    "max_tokens": 64,
    "coherent": 50.0,
    "misaligned": 30.0,
    "server": SERVER,
}


def changed(path: str, value: object) -> dict:
    config = copy.deepcopy(DEMO)
    *parents, last = path.split(".")
    section = config
    for key in parents:
        section = section[int(key)] if isinstance(section, list) else section[key]
    if value is ...:
        del section[last]
    elif isinstance(value, dict):
        section[last] = {key: one for key, one in value.items() if one is not ...}
    else:
        section[last] = value
    return config
