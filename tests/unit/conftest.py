"""Fixtures that several files of tests share."""

import pytest
import yaml
from workspace import ROOT

from entrench.study.config.check import load_config


@pytest.fixture(scope="session")
def study():
    """The config of the paper's sweep."""
    return load_config(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()))


@pytest.fixture(scope="module")
def one_thread():
    """Sums in another number of threads round otherwise."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A really small Llama, untrained."""
    from tiny_llama import make_model

    from entrench.training.settings import ModelSource

    return ModelSource(str(make_model(tmp_path_factory.mktemp("tiny") / "model")))


@pytest.fixture(scope="session")
def organism(model, tmp_path_factory):
    """Its adapter after a short training on exchanges."""
    from tiny_training import SETTINGS, SOURCE, exchanges

    from entrench.training.train import train_sft

    folder = tmp_path_factory.mktemp("organism") / "adapter"
    train_sft(SETTINGS, model, exchanges(), folder, source=SOURCE)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder of a small model with random weights, to generate with."""
    from tiny_models import save_language_model

    path = tmp_path_factory.mktemp("language_model")
    save_language_model(path)
    return path


@pytest.fixture(scope="session")
def adapter(tiny, tmp_path_factory):
    """The folder of an adapter of that model, far from zero."""
    from tiny_models import save_adapter

    path = tmp_path_factory.mktemp("adapter")
    save_adapter(path, tiny)
    return path
