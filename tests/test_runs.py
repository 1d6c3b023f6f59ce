"""A run is a folder: one process writes to it, every cut is harmless, no stranger passes for it."""

import csv
import json
import random
import shutil

import numpy as np
import pytest

import scratchgen as sg
from scratchgen import cli, runs
from scratchgen.files import sole_writer
from scratchgen.recipes import RECIPES
from scratchgen.runs import CONFIG, EPOCHS, HISTORY, LAST, MODEL, Config, Keeper, Run, _csv, newest

QUICK = ["train", "vae", "--hidden", "8", "--epochs"]
STOPPING = ["train", "ffnn", "--hidden", "16", "--lr", "0.1", "--schedule", "constant"]
STOPPING += ["--patience", "3", "--epochs", "40"]


@pytest.fixture(scope="module", autouse=True)
def no_pictures():
    """Pictures take longer than such trainings, and are the concern of other tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cli, "pictures", lambda *_: iter(()))
        yield


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, no_pictures):
    """A run of each of some models, and one with other settings; never written to."""
    folder = tmp_path_factory.mktemp("trained")
    for name, more in {
        "vae": ["vae", "--hidden", "8"],
        "wide": ["vae", "--hidden", "9"],
        "gan": ["gan", "--hidden", "8"],
        "ffnn": ["ffnn", "--hidden", "8"],
        "rbm": ["rbm", "--hidden", "4"],
    }.items():
        assert cli.main(["train", *more, "--epochs", "2", "--out", str(folder / name)]) == 0
    return folder


@pytest.fixture
def vae(trained, elsewhere):
    shutil.copytree(trained / "vae", elsewhere / "vae")
    return elsewhere / "vae"


def refusal(capsys, *arguments):
    capsys.readouterr()
    assert cli.main([*map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def everything(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def weights(path):
    return sg.load(path).model.state_dict()


def arrays_of(path):
    """The arrays of an .npz file, which is closed."""
    with np.load(path) as file:
        return dict(file)


def same(a, b):
    return a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)


# One writer


def test_a_folder_that_another_training_writes_to_is_left_as_it_is(vae, capsys):
    before = everything(vae)
    with sole_writer(vae):
        for more in ([], ["--resume"]):
            line = refusal(capsys, *QUICK, "4", "--out", vae, *more)
            assert line == f"scratchgen: another training is writing to {vae}"
    assert everything(vae) == before


def test_a_new_folder_is_held_before_it_is_looked_at(elsewhere, capsys, monkeypatch):
    looked = []

    def late(run):
        # Whoever comes meanwhile finds the folder held, though there is nothing in it yet.
        looked.append(refusal(capsys, *QUICK, "2", "--out", "run"))
        return begun(run)

    begun = Run.begun
    monkeypatch.setattr(Run, "begun", lambda run: late(run) if not looked else begun(run))
    assert cli.main([*QUICK, "1", "--out", "run"]) == 0
    assert looked == ["scratchgen: another training is writing to run"]
    assert Config.read(elsewhere / "run").settings.epochs == 1


def test_two_trainings_without_a_name_take_a_folder_each(elsewhere):
    with Run.new(elsewhere / "run") as first, Run.new(elsewhere / "run") as second:
        assert (first.folder.name, second.folder.name) == ("run", "run-2")
    assert not [*elsewhere.iterdir()]
    (elsewhere / "run").write_text("a file")
    with Run.new(elsewhere / "run") as third:
        assert third.folder.name == "run-2"


def test_the_newest_run_is_the_one_that_was_written_to_last(elsewhere):
    for name in ("run", "run-2", "run-10", "run-other"):
        (elsewhere / name).mkdir()
        (elsewhere / name / CONFIG).write_text("{}")
    (elsewhere / "run-3").mkdir()
    assert newest(elsewhere / "run").name == "run-10"
    (elsewhere / "run-2" / CONFIG).write_text("{ }")
    assert newest(elsewhere / "run").name == "run-2"


def test_resume_without_a_folder_goes_on_with_the_newest_run_and_says_which(elsewhere, capsys):
    assert cli.main([*QUICK, "1"]) == cli.main([*QUICK, "1"]) == 0
    assert cli.main([*QUICK, "2", "--resume"]) == 0
    assert "runs/vae-digits-2: going on after epoch 1" in capsys.readouterr().out
    assert len(sg.load("runs/vae-digits-2/model.safetensors").history) == 2


# What is refused leaves nothing


def test_a_run_that_fails_in_its_first_epoch_can_be_begun_again(elsewhere, capsys):
    asked = [*QUICK, "1", "--out", "run"]
    assert "not finite" in refusal(capsys, *asked, "--lr", "999999")
    assert not [*elsewhere.iterdir()]
    assert cli.main(asked) == 0


def test_a_run_that_fails_later_keeps_its_last_epoch(elsewhere, capsys, monkeypatch):
    def fails(self, model, data, rng):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("no more")
        return {"test cost": 1.0}

    calls = []
    monkeypatch.setattr(type(RECIPES["vae"]), "score", fails)
    assert refusal(capsys, *QUICK, "5", "--out", "run") == "scratchgen: no more"
    assert len(sg.load("run/model.safetensors").history) == 2
    assert len((elsewhere / "run" / HISTORY).read_text().splitlines()) == 3


def test_a_run_of_no_epochs_says_that_it_is_untrained(capsys):
    assert cli.main([*QUICK, "0", "--out", "run"]) == 0
    for command in (["evaluate", "run"], ["sample", "run", "--out", "s.npy"]):
        assert cli.main(command) == 0
        assert "untrained, after 0 epochs" in capsys.readouterr().out


def test_an_unknown_file_in_the_folder_is_nobodys_business(elsewhere):
    (elsewhere / "run").mkdir()
    (elsewhere / "run" / "notes.txt").write_text("mine")
    assert cli.main([*QUICK, "1", "--out", "run"]) == 0
    assert (elsewhere / "run" / "notes.txt").read_text() == "mine"


# Strangers


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_a_model_without_a_config_is_not_gone_on_with(vae, capsys, resume):
    (vae / CONFIG).unlink()
    before = everything(vae)
    line = refusal(capsys, *QUICK, "2", "--out", vae, *resume)
    assert f"{CONFIG} is missing: put it back, or name another folder with --out" in line
    assert everything(vae) == before


def test_a_config_without_its_model_is_not_begun_anew(vae, capsys):
    (vae / MODEL).unlink()
    line = refusal(capsys, *QUICK, "2", "--out", vae, "--resume")
    assert f"{MODEL} is missing" in line
    assert "no checkpoint" in refusal(capsys, "evaluate", vae)


@pytest.mark.parametrize(
    ("stranger", "words"),
    [("gan", "it is a GAN, not a VAE"), ("wide", "its hidden is 9, not 8")],
)
def test_the_model_of_another_run_is_refused_everywhere(trained, vae, capsys, stranger, words):
    shutil.copy(trained / stranger / MODEL, vae)
    before = everything(vae)
    for command in (
        ["sample", vae, "--out", "s.npy"],
        ["evaluate", vae],
        ["train", "vae", "--out", vae, "--resume", "--epochs", "3"],
    ):
        line = refusal(capsys, *command)
        assert words in line
        assert f"{vae / MODEL} does not belong to the {CONFIG} beside it" in line
    assert everything(vae) == before


@pytest.mark.parametrize("name", ["vae", "gan", "ffnn", "rbm"])
def test_a_setting_that_is_not_that_of_the_model_is_found(trained, elsewhere, capsys, name):
    shutil.copytree(trained / name, elsewhere / "run")
    path = elsewhere / "run" / CONFIG
    config = json.loads(path.read_text())
    config["hidden"] = [7] if name == "ffnn" else 7
    path.write_text(json.dumps(config))
    assert "its hidden is" in refusal(capsys, "evaluate", "run")


def test_a_run_of_another_model_is_not_gone_on_with(trained, elsewhere, capsys):
    shutil.copytree(trained / "gan", elsewhere / "run")
    line = refusal(capsys, *QUICK, "3", "--out", "run", "--resume")
    assert line == "scratchgen: run was begun as a gan, not as a vae"


# config.json

WRONG = {
    "data is a name, got 3": {"data": 3},
    "lr is a number above 0 to 1000000, got 'a'": {"lr": "a"},
    "schedule is one of constant, cosine": {"schedule": 1.5},
    "hidden is a whole number from 1 to 100000, got 100000000000000": {"hidden": 10**40},
    "latent is a whole number from 1 to 100000, got True": {"latent": True},
    "seed is a whole number from 0": {"seed": None},
    "'speed' is unknown": {"speed": 9},
    "its format is 5, this release reads 1 to 4": {"format": 5},
    "its format is True": {"format": True},
    "model is one of ffnn": {"model": ["vae"]},
    "model is one of": {"model": "transformer"},
    "shape is a list of whole numbers from 1, got [1, 8, -8]": {"shape": [1, 8, -8]},
    "shape is a list of whole numbers from 1, got 64": {"shape": 64},
    "value_range is a list of two numbers, the lower first, got [1, 0]": {"value_range": [1, 0]},
    "value_range is": {"value_range": [0, 10**400]},
    "classes is a list of names, got [1]": {"classes": [1]},
    "data_sha256 is a text, got None": {"data_sha256": None},
}


@pytest.mark.parametrize("words", WRONG)
def test_a_config_with_values_of_another_kind_is_refused_in_one_line(vae, capsys, words):
    path = vae / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **WRONG[words]}))
    for command in (["evaluate", vae], [*QUICK, "4", "--out", vae, "--resume"]):
        line = refusal(capsys, *command)
        assert line.startswith(f"scratchgen: {path} is damaged, or of another release: ")
        assert words in line
        assert len(line) < 400


@pytest.mark.parametrize("model", ["vae", "ffnn"])
def test_a_config_that_lacks_any_of_its_keys_is_refused(trained, elsewhere, capsys, model):
    shutil.copytree(trained / model, elsewhere / "run")
    path = elsewhere / "run" / CONFIG
    whole = json.loads(path.read_text())
    for missing in whole.keys() - {"format", "classes"}:
        path.write_text(json.dumps({name: whole[name] for name in whole if name != missing}))
        assert missing in refusal(capsys, "evaluate", "run")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"3", b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"null"],
    ids=["empty", "list", "number", "no text", "deep", "digits", "null"],
)
def test_a_config_that_is_no_object_of_json_is_refused(vae, capsys, content):
    (vae / CONFIG).write_bytes(content)
    line = refusal(capsys, "evaluate", vae)
    assert line.startswith(f"scratchgen: {vae / CONFIG} is damaged")


def test_a_run_of_the_first_format_can_be_sampled(vae, capsys):
    path = vae / CONFIG
    config = json.loads(path.read_text())
    for since in ("format", "classes", "data_sha256", "schedule", "every"):
        del config[since]
    path.write_text(json.dumps(config))
    assert cli.main(["sample", str(vae), "--out", "s.npy"]) == 0
    assert Config.read(vae).settings.schedule == "constant"


@pytest.mark.parametrize("number", [2, 3])
def test_a_run_of_an_earlier_format_has_the_defaults_of_what_was_added_since(
    trained, elsewhere, number
):
    shutil.copytree(trained / "rbm", elsewhere / "run")
    path = elsewhere / "run" / CONFIG
    config = json.loads(path.read_text())
    now = Config.read(path.parent)
    for since in ("sigma", "levels", "scale", "temperatures", "centred", "k_every", "l1", "l2"):
        del config[since]
    path.write_text(json.dumps({**config, "format": number}))
    assert Config.read(path.parent) == now
    path.write_text(json.dumps(config))  # a file of today lacks nothing
    with pytest.raises(ValueError, match="it lacks centred; it lacks k_every"):
        Config.read(path.parent)


def test_what_is_reported_only_since_a_run_was_begun_has_a_column_of_its_own(elsewhere):
    epochs = [sg.Epoch(1, (2.0,), 0.5, {"b": 3.0}), sg.Epoch(2, (1.0,), 0.5, {"a": 4.0, "b": 5.0})]
    rows = list(csv.DictReader(_csv(sg.History(epochs)).decode().splitlines()))
    assert [row["a"] for row in rows] == ["", "4.0"]
    assert [row["b"] for row in rows] == ["3.0", "5.0"]


# epochs.npz is a by-product


@pytest.mark.parametrize("damage", ["empty", "half", "flip", "another shape", "text"])
def test_a_damaged_file_of_samples_is_begun_anew_with_a_word(vae, capsys, damage):
    path = vae / EPOCHS
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 3] ^= 0xFF
    if damage == "another shape":
        np.savez(path, **{"1": np.zeros((5, 63), np.float32)})
    elif damage == "text":
        np.savez(path, **{"1": np.array(["a"] * 5)})
    else:
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2]}.get(damage, content))
    assert cli.main(["train", "vae", "--epochs", "4", "--out", str(vae), "--resume"]) == 0
    assert f"warning: {path} cannot be read (" in capsys.readouterr().err
    assert [*arrays_of(path)] == ["2", "4"]


def test_an_epoch_cut_from_its_samples_has_them_made_again(elsewhere, monkeypatch):
    def cut(self, epoch, samples):
        if epoch == 2:
            raise KeyboardInterrupt
        keep(self, epoch, samples)

    assert cli.main([*QUICK, "4", "--out", "whole"]) == 0
    keep = Run.keep_samples
    with monkeypatch.context() as patched:
        patched.setattr(Run, "keep_samples", cut)
        assert cli.main([*QUICK, "4", "--out", "cut"]) == 130
    assert cli.main([*QUICK, "4", "--out", "cut", "--resume"]) == 0
    whole, resumed = arrays_of("whole/epochs.npz"), arrays_of("cut/epochs.npz")
    assert [*whole] == [*resumed] == ["1", "2", "4"]
    assert same(whole, resumed)


def test_the_model_and_the_history_are_on_the_disk_before_the_samples_and_the_pictures(
    elsewhere, monkeypatch
):
    def on_disk(epochs):
        assert len(sg.load("run/model.safetensors").history) == epochs
        assert len((elsewhere / "run" / HISTORY).read_text().splitlines()) == 1 + epochs

    keep, draw = Run.keep_samples, cli.pictures
    monkeypatch.setattr(
        Run, "keep_samples", lambda run, epoch, x: (on_disk(epoch), keep(run, epoch, x))
    )
    monkeypatch.setattr(cli, "pictures", lambda *arguments: (on_disk(4), draw(*arguments))[1])
    assert cli.main([*QUICK, "4", "--out", "run"]) == 0


def test_samples_of_every_nth_epoch_are_kept_where_asked():
    assert cli.main([*QUICK, "7", "--every", "3", "--out", "run"]) == 0
    assert [*arrays_of("run/epochs.npz")] == ["1", "3", "6"]


# The best weights


def test_the_model_of_a_run_with_patience_is_the_best_one(elsewhere, capsys):
    assert cli.main([*STOPPING, "--out", "run"]) == 0
    said = capsys.readouterr().out
    rows = list(csv.DictReader((elsewhere / "run" / HISTORY).read_text().splitlines()))
    costs = [float(row["validation cost"]) for row in rows]
    best = int(np.argmin(costs)) + 1
    assert len(costs) == best + 3 < 40
    assert len(sg.load("run/model.safetensors").history) == best
    assert len(sg.load("run/last.safetensors").history) == best + 3
    assert f"the model is that of epoch {best}, whose validation cost was the lowest" in said
    until = [*STOPPING, "--epochs", str(best), "--out", "until"]
    assert cli.main(until) == 0
    assert same(weights("run/model.safetensors"), weights("until/model.safetensors"))


def test_the_best_weights_survive_a_cut_between_any_two_files(elsewhere, monkeypatch):
    def counted(path, content):
        if path.suffix == ".safetensors":
            written.append(path)
            if len(written) == cut_at:
                raise KeyboardInterrupt
        write(path, content)

    # Each epoch is on the disk at once, and what comes after the cut is not: as if by kill -9.
    written, cut_at, write, flush = [], None, runs.write_atomically, Keeper.flush
    monkeypatch.setattr(runs.time, "monotonic", iter(range(0, 10**6, 10)).__next__)
    monkeypatch.setattr(runs, "write_atomically", counted)
    monkeypatch.setattr(Keeper, "flush", lambda self: len(written) == cut_at or flush(self))
    assert cli.main([*STOPPING, "--out", "whole"]) == 0
    assert {path.name for path in written} == {MODEL, LAST}
    for moment in range(1, 1 + len(written)):
        written, cut_at = [], moment
        assert cli.main([*STOPPING, "--out", f"cut-{moment}"]) == 130
        cut_at = None
        assert cli.main([*STOPPING, "--out", f"cut-{moment}", "--resume"]) == 0
        for name in (MODEL, LAST):
            whole, resumed = (sg.load(f"{run}/{name}") for run in ("whole", f"cut-{moment}"))
            assert same(whole.model.state_dict(), resumed.model.state_dict())
            assert [e.values() for e in whole.history] == [e.values() for e in resumed.history]


def test_a_run_with_patience_that_ended_at_its_epochs_goes_on_from_the_last(elsewhere):
    patient = [*STOPPING, "--patience", "1000", "--epochs"]
    assert cli.main([*patient, "9", "--out", "whole"]) == 0
    assert cli.main([*patient, "5", "--out", "parts"]) == 0
    assert cli.main([*patient, "9", "--out", "parts", "--resume"]) == 0
    for name in {path.name for path in (elsewhere / "whole").glob("*.safetensors")}:
        assert same(weights(f"whole/{name}"), weights(f"parts/{name}"))


def test_the_last_epoch_of_another_run_is_refused(elsewhere, capsys):
    assert cli.main([*STOPPING, "--out", "run"]) == 0
    assert cli.main([*STOPPING, "--seed", "1", "--out", "other"]) == 0
    shutil.copy("other/last.safetensors", "run")
    line = refusal(capsys, *STOPPING, "--out", "run", "--resume")
    assert "last.safetensors does not go on from model.safetensors" in line


# A schedule of a longer run


def test_more_epochs_take_the_cosine_of_the_longer_run_and_the_output_says_so(capsys):
    asked = ["train", "ffnn", "--hidden", "8", "--lr", "0.01", "--epochs"]
    assert cli.main([*asked, "2", "--out", "run"]) == 0
    capsys.readouterr()
    assert cli.main([*asked, "4", "--out", "run", "--resume"]) == 0
    assert (
        "run: from here on, the cosine of the learning rate is that of 4 epochs, no longer of 2: "
        "the next rate is 0.005 in place of 0\n"
    ) in capsys.readouterr().out


def test_as_many_epochs_say_nothing_of_the_schedule(capsys):
    asked = ["train", "ffnn", "--hidden", "8", "--epochs", "2", "--out", "run"]
    assert cli.main(asked) == cli.main([*asked, "--resume"]) == 0
    assert "no longer of" not in capsys.readouterr().out


def test_more_epochs_than_a_numbered_cosine_has_are_refused(elsewhere, capsys):
    asked = ["train", "ffnn", "--hidden", "8", "--schedule", "cosine:2", "--out", "run"]
    line = refusal(capsys, *asked, "--epochs", "4")
    assert "leaves a learning rate of 0 from epoch 3 on, of --epochs 4: take --epochs of" in line
    assert not [*elsewhere.iterdir()]
    assert cli.main([*asked, "--epochs", "2"]) == 0
    before = everything(elsewhere / "run")
    assert "from epoch 3 on" in refusal(capsys, *asked, "--epochs", "4", "--resume")
    assert everything(elsewhere / "run") == before


# Whatever a disk may do


@pytest.mark.parametrize("name", [CONFIG, MODEL, LAST, HISTORY, EPOCHS])
def test_no_damage_of_any_file_ends_in_a_traceback(elsewhere, capsys, name):
    """Cut at any length, with any byte changed: exit code 0, or 2 with one line that says why."""
    assert cli.main([*STOPPING, "--out", "ffnn"]) == cli.main([*QUICK, "2", "--out", "vae"]) == 0
    model = "vae" if name == EPOCHS else "ffnn"
    whole, chance = (elsewhere / model / name).read_bytes(), random.Random(0)
    for _ in range(12):
        damaged = bytearray(whole)
        if chance.random() < 0.5:
            del damaged[chance.randrange(len(damaged)) :]
        else:
            for _ in range(chance.randint(1, 4)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        shutil.rmtree("run", ignore_errors=True)
        shutil.copytree(model, "run")
        (elsewhere / "run" / name).write_bytes(damaged)
        for command in (["sample", "run", "--n", "1", "--out", "s.npy"], ["train", model]):
            more = ["--out", "run", "--resume"] if command[0] == "train" else []
            capsys.readouterr()
            code = cli.main([*command, *more])
            said = capsys.readouterr().err.splitlines()
            assert code in (0, 2)
            assert len(said) <= 1
            assert code == 0 or said[0].startswith("scratchgen: ")
