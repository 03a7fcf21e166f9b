"""Methods are found by looking into their room, and a new one is one file of it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from tiny_training import SETTINGS, SOURCE, pairs, weights

import entrench.methods
from entrench.analysis.risk.machinery import MACHINERY
from entrench.errors import EntrenchError
from entrench.methods.shared import catalogue
from entrench.methods.shared.catalogue import LABEL_METHODS, METHODS
from entrench.study.config.sweep import entry_of
from entrench.training.train import train_pairs

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
DISTANCE = '''"""The wrapped prompt's last states follow the clean one's, in squared L2 distance."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, doc

from entrench.methods.shared.pairs import PairLoss, PairMethod


@dataclass(frozen=True, kw_only=True)
class DistanceSettings(PairLoss):
    """`strength` times the squared distance of the states behind the final norm."""

    strength: Annotated[float, Gt(0), doc("of the loss")]

    def loss(self, models, model, batch):
        clean, wrapped = batch["clean"], batch["wrapped"]
        with models.as_teacher(model):
            target = models.final_states(model, clean)[clean["positions"]]
        own = models.final_states(model, wrapped)[wrapped["positions"]]
        return self.strength * (own - target).square().sum(), wrapped["positions"].sum()


METHOD = PairMethod(DistanceSettings)
'''


@pytest.fixture
def distance(tmp_path, monkeypatch):
    """The method of a new file of the room."""
    (tmp_path / "distance.py").write_text(DISTANCE)
    monkeypatch.setattr(entrench.methods, "__path__", [*entrench.methods.__path__, str(tmp_path)])
    yield catalogue._found()["distance"]
    sys.modules.pop("entrench.methods.distance")


def test_every_file_of_the_room_is_a_method_of_its_name():
    files = {path.stem for path in (SCRIPTS / "entrench" / "methods").glob("*.py")}
    assert set(METHODS) == files - {"__init__"}
    assert {name: method.name for name, method in METHODS.items()} == {n: n for n in METHODS}


def test_a_file_without_a_method_is_refused_with_what_to_add(tmp_path, monkeypatch):
    (tmp_path / "forgetful.py").write_text("Settings = None\n")
    monkeypatch.setattr(entrench.methods, "__path__", [*entrench.methods.__path__, str(tmp_path)])
    with pytest.raises(EntrenchError) as refused:
        catalogue._found()
    sys.modules.pop("entrench.methods.forgetful")
    assert str(refused.value) == (
        f"{tmp_path}/forgetful.py: the file defines no METHOD: end it with a line such as "
        "`METHOD = MyMethod()`, or move what methods share to methods/shared/"
    )


def test_an_objective_without_a_loss_is_refused_when_its_file_is_read(tmp_path, monkeypatch):
    (tmp_path / "lossless.py").write_text(DISTANCE.replace("def loss", "def loose"))
    monkeypatch.setattr(entrench.methods, "__path__", [*entrench.methods.__path__, str(tmp_path)])
    with pytest.raises(EntrenchError) as refused:
        catalogue._found()
    sys.modules.pop("entrench.methods.lossless")
    assert str(refused.value) == (
        f"{tmp_path}/lossless.py: DistanceSettings does not define loss: "
        "define it as the other files of the room do"
    )


def test_importing_the_room_loads_nothing_heavy():
    code = (
        "import sys, entrench.methods.shared.catalogue\n"
        "heavy = {'torch', 'transformers', 'peft', 'polars', 'numpy', 'pydantic'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_methods_machinery_gives_the_columns_that_it_names():
    settings = {"set": "samples", "k": 2}
    for name, method in LABEL_METHODS.items():
        found = method.machinery(method.parse(settings), [])
        assert list(found) == list(method.machinery_columns), name
        assert set(found) <= set(MACHINERY), name


def test_a_new_objective_is_one_file_and_trains(distance, model, organism, tmp_path):
    entry = entry_of("distance", distance)
    shared = {"window": "response", "response": "own", "teacher": "organism"}
    given = {"operator": "distance", "kind": "consistency", **shared}
    assert entry.model_validate(given | {"strength": 2.0}).settings == shared | {"strength": 2.0}
    with pytest.raises(ValidationError, match=r"strength\n  Input should be greater than 0"):
        entry.model_validate(given | {"strength": 0.0})
    with pytest.raises(EntrenchError, match=r"distance: missing 1 required .*'strength'"):
        distance.parse(shared)
    first_loss = {}
    for strength in (1.0, 2.0):
        objective = distance.parse(shared | {"strength": strength})
        folder, where = tmp_path / str(strength), {"source": SOURCE, "organism": organism}
        settings = replace(SETTINGS, max_steps=2)
        report = train_pairs(settings, objective, model, pairs(), folder, **where)
        assert report["steps"] == 2
        first_loss[strength] = report["first_loss"]
        trained, before = weights(folder), weights(organism)
        assert any((trained[name] != before[name]).any() for name in before)
    assert first_loss[2.0] == pytest.approx(2 * first_loss[1.0]) != 0
