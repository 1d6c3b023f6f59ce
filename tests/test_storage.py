"""A checkpoint is whole or refused, holds no code, and training goes on from it bit for bit."""

import copy
import json
import pickle
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import scratchgen as sg
from scratchgen import models, nn, optim, storage
from tests import strict


def trained(epochs=1, device="cpu", optimizer=None):
    rng = sg.generator(0, device)
    model = models.vae.dense(64, 12, 3, rng)
    optimizers = [optimizer(model.parameters())] if optimizer else model.default_optimizers()
    images, _ = sg.datasets.digits("test")
    history = sg.History()
    for _ in sg.train(
        model, images, optimizers, epochs=epochs, batch_size=50, rng=rng, history=history
    ):
        pass
    return model, optimizers, rng, history


def go_on(model, optimizers, rng, history, epochs):
    images, _ = sg.datasets.digits("test")
    for _ in sg.train(
        model, images, optimizers, epochs=epochs, batch_size=50, rng=rng, history=history
    ):
        pass
    return model.state_dict()


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, 1e-3),
    "momentum": lambda p: optim.SGD(p, 1e-3, momentum=0.9, nesterov=True, weight_decay=1e-4),
    "AdaGrad": lambda p: optim.AdaGrad(p),
    "RMSprop": lambda p: optim.RMSprop(p, 1e-3, momentum=0.5),
    "Adam": lambda p: optim.Adam(p),
    "AdamW": lambda p: optim.AdamW(p),
    "LBFGS": lambda p: optim.LBFGS(p, 1e-3, history_size=5),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_from_a_checkpoint_bit_for_bit(tmp_path, name):
    uninterrupted = trained(3, optimizer=OPTIMIZERS[name])[0].state_dict()
    sg.save(tmp_path / "run.safetensors", *trained(1, optimizer=OPTIMIZERS[name]))
    resumed = go_on(*sg.load(tmp_path / "run.safetensors"), epochs=3)
    for key, value in uninterrupted.items():
        np.testing.assert_array_equal(resumed[key], value)


def test_training_on_a_device_goes_on_from_a_checkpoint_bit_for_bit(tmp_path, monkeypatch):
    strict.install(monkeypatch)
    uninterrupted = trained(2, "cuda")[0].state_dict()
    sg.save(tmp_path / "run.safetensors", *trained(1, "cuda"))
    resumed = go_on(*sg.load(tmp_path / "run.safetensors", "cuda"), epochs=2)
    for key, value in uninterrupted.items():
        np.testing.assert_array_equal(sg.to_host(resumed[key]), sg.to_host(value))


def test_a_checkpoint_gives_back_what_was_saved(tmp_path):
    model, optimizers, _, history = saved = trained(2)
    optimizers[0].lr = 0.5
    sg.save(tmp_path / "run.safetensors", *saved)
    loaded = sg.load(tmp_path / "run.safetensors")
    assert repr(loaded.model) == repr(model)
    assert loaded.history == history
    assert loaded.optimizers[0].lr == 0.5
    assert loaded.rng.bit_generator.state == saved[2].bit_generator.state


def test_a_model_alone_can_be_saved_and_keeps_its_dtype(tmp_path):
    model = models.vae.dense(64, 12, 3, sg.generator(0)).astype(np.float64)
    sg.save(tmp_path / "model.safetensors", model)
    loaded = sg.load(tmp_path / "model.safetensors")
    assert (loaded.optimizers, loaded.rng, loaded.history) == ([], None, [])
    assert {p.dtype for p in loaded.model.parameters()} == {np.dtype(np.float64)}


def test_the_arrays_can_be_read_by_any_safetensors_reader(tmp_path):
    model = trained()[0]
    sg.save(tmp_path / "model.safetensors", model)
    arrays = load_file(tmp_path / "model.safetensors")
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(arrays[f"model/{name}"], value)


class Twice(nn.Network):
    def __init__(self, layer, times=2):
        self.layer, self.times = layer, times

    def __call__(self, x, rng=None):
        return self.times * self.layer(x, rng)


def test_a_network_of_ones_own_is_loaded_if_its_class_is_given(tmp_path):
    network = Twice(nn.Linear(3, 2, rng=sg.generator(0)), times=3)
    sg.save(tmp_path / "own.safetensors", network)
    with pytest.raises(sg.CheckpointError, match=r"'Twice', which is no class of scratchgen"):
        sg.load(tmp_path / "own.safetensors")
    loaded = sg.load(tmp_path / "own.safetensors", classes=[Twice]).model
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(loaded(x).data, network(x).data)


def test_a_checkpoint_with_numbers_that_are_not_finite_is_refused_and_the_old_one_kept(tmp_path):
    path = tmp_path / "run.safetensors"
    model, *rest = trained()
    sg.save(path, model, *rest)
    before = path.read_bytes()
    model.parameters()[2].data[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"encoder\.2\.weight holds NaN"):
        sg.save(path, model, *rest)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nowhere"):
        sg.load(tmp_path / "nowhere")


def intact_or_refused(path, intact):
    """Whether a file loads with the content that it had; raises unless it does or is refused."""
    size = path.stat().st_size
    tracemalloc.start()
    try:
        loaded = sg.load(path).model.state_dict()
    except sg.CheckpointError:
        return False
    finally:
        assert tracemalloc.get_traced_memory()[1] < 20 * size + 1_000_000
        tracemalloc.stop()
    for name, value in intact.items():
        np.testing.assert_array_equal(loaded[name], value)
    return True


def test_a_checkpoint_that_is_cut_off_anywhere_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    sg.save(path, *trained())
    intact, content = sg.load(path).model.state_dict(), path.read_bytes()
    for place in np.linspace(0, len(content) - 1, 50).astype(int):
        path.write_bytes(content[:place])
        assert not intact_or_refused(path, intact)


def test_a_checkpoint_with_any_byte_flipped_is_refused_or_has_the_same_content(tmp_path):
    path = tmp_path / "run.safetensors"
    sg.save(path, *trained())
    intact, content = sg.load(path).model.state_dict(), path.read_bytes()
    rng = np.random.default_rng(0)
    header = 8 + int.from_bytes(content[:8], "little")
    places = [*rng.integers(0, header, 100), *rng.integers(0, len(content), 100)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        intact_or_refused(path, intact)


def forged(path, change, more=None):
    """A file whose digest is right, with a description of the forger's choice, and arrays too."""
    arrays = {**load_file(path), **(more or {})}
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        described = json.loads(file.metadata()["checkpoint"])
    text = change(described)
    digest = storage._digest(text, arrays)
    save_file(arrays, path, {"format": storage.FORMAT, "checkpoint": text, "sha256": digest})


def set_in(described, value, *keys):
    inner = described
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return json.dumps(described)


FIRST_LAYER = ("model", "settings", "encoder", "settings", "layers", 0, "settings")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: set_in(d, 10**12, *FIRST_LAYER, "n_in"),
        lambda d: set_in(d, 10**30, *FIRST_LAYER, "n_in"),
        lambda d: set_in(d, 65, *FIRST_LAYER, "n_in"),
        lambda d: set_in(d, 64.5, *FIRST_LAYER, "n_in"),
        lambda d: set_in(d, -1, *FIRST_LAYER, "n_in"),
        lambda d: set_in(d, "os.system", "model", "class"),
        lambda d: set_in(d, {}, "model", "settings"),
        lambda d: set_in(d, ["encoder.0.weight"], "optimizers", 0, "moves"),
        lambda d: set_in(d, ["no.such.parameter"], "optimizers", 0, "moves"),
        lambda d: set_in(d, "adam", "optimizers", 0, "class"),
        lambda d: set_in(d, {"device": "cpu"}, "rng"),
        lambda d: set_in(d, [{"number": 1}], "history"),
        lambda d: "[" * 100_000,
        lambda d: "[]",
        lambda d: "9" * 10_000,
    ],
)
def test_a_forged_description_is_refused_in_bounded_memory(tmp_path, change):
    path = tmp_path / "run.safetensors"
    sg.save(path, *trained())
    forged(path, change)
    tracemalloc.start()
    with pytest.raises(sg.CheckpointError, match="is no intact checkpoint"):
        sg.load(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_an_optimizer_of_another_model_is_refused(tmp_path):
    model, stranger = trained()[0], trained()[0]
    with pytest.raises(ValueError, match="tensors that the model lacks"):
        sg.save(tmp_path / "run.safetensors", model, stranger.default_optimizers())


def test_a_parameter_that_is_one_number_comes_back_as_one(tmp_path):
    class Scale(nn.Network):
        def __init__(self):
            self.factor = sg.Tensor(np.float32(2))

    sg.save(tmp_path / "one.safetensors", Scale())
    loaded = sg.load(tmp_path / "one.safetensors", classes=[Scale]).model
    assert loaded.factor.shape == ()
    assert loaded.factor.data == 2


def test_what_was_set_after_construction_is_saved(tmp_path):
    model, optimizers, rng, history = trained()
    model.n_samples, optimizers[0].betas = 5, (0.5, 0.9)
    sg.save(tmp_path / "run.safetensors", model, optimizers, rng, history)
    loaded = sg.load(tmp_path / "run.safetensors")
    assert loaded.model.n_samples == 5
    assert tuple(loaded.optimizers[0].betas) == (0.5, 0.9)


def test_a_checkpoint_of_a_device_opens_on_the_host_without_its_generator(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        strict.install(patched)
        sg.save(tmp_path / "run.safetensors", *trained(1, "cuda"))
    loaded = sg.load(tmp_path / "run.safetensors")
    assert loaded.rng is None
    assert type(loaded.model.parameters()[0].data) is np.ndarray
    with pytest.raises(ValueError, match="device is 'cpu' or 'cuda', got 'gpu'"):
        sg.load(tmp_path / "run.safetensors", "gpu")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_a_model_and_its_optimizer_trains_on_as_they_do(copied):
    model, optimizers, rng, history = trained()
    twin = copied((model, optimizers, rng, history))
    ours, theirs = go_on(model, optimizers, rng, history, 2), go_on(*twin, 2)
    for name, value in ours.items():
        np.testing.assert_array_equal(theirs[name], value)


def test_a_parameter_under_two_names_is_refused_since_it_would_come_back_as_two(tmp_path):
    layer = nn.Linear(2, 2, rng=sg.generator(0))
    with pytest.raises(ValueError, match=r"0\.weight and 2\.weight are one parameter"):
        sg.save(tmp_path / "tied.safetensors", nn.Sequential(layer, nn.ReLU(), layer))
    assert not list(tmp_path.iterdir())


def test_the_average_that_a_ddpm_once_kept_itself_becomes_one_of_its_own(tmp_path):
    path, model = tmp_path / "before.safetensors", small_ddpm()
    sg.save(path, model)
    flat = np.concatenate([p.data.reshape(-1) for p in model.parameters()])

    def as_before(described):
        del described["average"]
        return set_in(described, 0.75, "model", "settings", "ema")

    forged(path, as_before, {"model/average": np.append(0.5 * flat, np.float32(0.25))})
    saved = sg.load(path)
    assert (saved.average.decay, saved.average.weight) == (0.75, 0.25)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(saved.model.state_dict()[name], value)
        np.testing.assert_array_equal(saved.averaged_model.state_dict()[name], 2 * value)
    forged(path, json.dumps, {"model/average": flat[:-3]})
    with pytest.raises(sg.CheckpointError, match="its average has the shape"):
        sg.load(path)


def test_the_average_of_tensors_that_the_model_lacks_is_refused(tmp_path):
    average = optim.WeightAverage(small_ddpm().parameters())
    with pytest.raises(ValueError, match=r"average follows \d+ tensors that the model lacks"):
        sg.save(tmp_path / "model.safetensors", small_ddpm(), average=average)


# What a forged file asks for


def small_ddpm():
    return models.ddpm.with_unet((1, 8, 8), sg.generator(0), width=8, T=20)


@pytest.mark.parametrize("T", [20_000_000, 10**9, 10**30])
def test_steps_beyond_measure_are_refused_before_their_tables_are_built(tmp_path, T):
    path = tmp_path / "forged.safetensors"
    sg.save(path, small_ddpm())
    forged(path, lambda d: set_in(d, T, "model", "settings", "T"))
    tracemalloc.start()
    with pytest.raises(sg.CheckpointError, match=r"forged.* T is from 1 to 10,000 steps"):
        sg.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * path.stat().st_size


@pytest.mark.parametrize("setting", ["n_chains", "n_hidden", "n_visible"])
def test_sizes_beyond_the_file_are_refused_before_they_are_built(tmp_path, setting):
    path = tmp_path / "forged.safetensors"
    sg.save(path, models.RBM(64, 20, rng=sg.generator(0), persistent=True))
    forged(path, lambda d: set_in(d, 10**9, "model", "settings", setting))
    tracemalloc.start()
    with pytest.raises(sg.CheckpointError, match="more parameters than it holds numbers"):
        sg.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * path.stat().st_size + 2**20


def test_optimizers_beyond_number_are_refused_before_they_are_built(tmp_path):
    path = tmp_path / "forged.safetensors"
    sg.save(path, nn.Linear(300, 300, rng=sg.generator(0)))
    entry = {
        "class": "SGD",
        "settings": {"lr": 0.1, "momentum": 0, "nesterov": False, "weight_decay": 0},
        "moves": ["weight"],
        "state": {"lr": 0.1, "steps": 0},
    }
    forged(path, lambda d: set_in(d, [entry] * 1000, "optimizers"))
    with pytest.raises(sg.CheckpointError, match="its optimizers move 90000000 numbers"):
        sg.load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_at_loading_with_their_name(tmp_path, value):
    path = tmp_path / "forged.safetensors"
    sg.save(path, nn.Linear(3, 2, rng=sg.generator(0)))
    forged(path, json.dumps, {"model/bias": np.array([1, value], np.float32)})
    with pytest.raises(sg.CheckpointError, match=r"forged.* its model/bias holds NaN or infinity"):
        sg.load(path)


def test_numbers_of_the_description_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "forged.safetensors"
    sg.save(path, nn.Sequential(nn.Linear(2, 2, rng=sg.generator(0)), nn.LeakyReLU(0.1)))
    slope = "model", "settings", "layers", 1, "settings", "slope"
    forged(path, lambda d: set_in(d, np.nan, *slope))
    with pytest.raises(sg.CheckpointError, match="its description holds NaN"):
        sg.load(path)


def test_a_setting_that_a_file_of_before_lacks_has_its_default(tmp_path):
    path = tmp_path / "before.safetensors"
    model = models.RBM(4, 3, rng=sg.generator(0), k=2)
    sg.save(path, model)

    def before(described):
        for since in ("centred", "n_temperatures", "l1", "l2"):
            del described["model"]["settings"][since]
        return json.dumps(described)

    forged(path, before)
    loaded = sg.load(path).model
    assert repr(loaded) == repr(model)
    np.testing.assert_array_equal(loaded.W.data, model.W.data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("model"), r"forged.* it lacks 'model'"),
        (lambda d: d.pop("history"), r"forged.* it lacks 'history'"),
        (lambda d: d["model"].pop("class"), r"forged.* it lacks 'class'"),
        (lambda d: d["model"]["settings"].pop("n_in"), r"forged.* it lacks 'n_in'"),
        (lambda d: d.update(optimizers=3), "its description has no list in 'optimizers'"),
        (lambda d: d.update(model=[1]), "its description has no dict in 'model'"),
    ],
)
def test_what_is_missing_from_a_checkpoint_is_named_with_the_file(tmp_path, change, message):
    path = tmp_path / "forged.safetensors"
    sg.save(path, nn.Linear(3, 2, rng=sg.generator(0)))

    def changed(described):
        change(described)
        return json.dumps(described)

    forged(path, changed)
    with pytest.raises(sg.CheckpointError, match=message):
        sg.load(path)
