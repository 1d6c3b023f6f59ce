"""Processes that share a batch take the steps of one: to the bit in order, else to rounding.

The sums are tested with threads that pass messages; the trainings and the command line with MPI,
where mpi4py and mpiexec are installed.
"""

import os
import queue
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchgen as sg
from scratchgen import cli
from scratchgen.history import History
from scratchgen.parallel import even_parts
from scratchgen.parallel.processes import (
    ALONE,
    Ordered,
    Summed,
    check_same,
    processes_of,
    sharing,
    started_together,
)
from scratchgen.recipes import RECIPES, Data
from scratchgen.recipes.recipe import drawn_in_parts, had
from scratchgen.runs import Config, Run
from scratchgen.storage import Checkpoint

MPIEXEC = shutil.which(
    "mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
)
ROOT = Path(__file__).parents[2]


class Messages:
    """The calls of mpi4py that the library needs, between threads."""

    def __init__(self, rank, size, channels, meeting, board):
        self.rank, self.size, self.channels = rank, size, channels
        self.meeting, self.board = meeting, board

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return self.size

    def Send(self, array, dest):
        self.channels[self.rank, dest].put(array.copy())

    def Recv(self, array, source):
        array[...] = self.channels[source, self.rank].get()

    def allgather(self, value):
        self.board[self.rank] = value
        self.meeting.wait()
        values = list(self.board)
        self.meeting.wait()
        return values

    def bcast(self, value, root):
        return self.allgather(value)[root]

    def Bcast(self, array, root):
        array[...] = self.allgather(array.copy())[root]

    def Allreduce(self, sent, received):
        received[...] = sum(self.allgather(sent.copy()))


def together(size, work):
    """What ``work(communicator)`` returns in each of so many threads."""
    channels = {(a, b): queue.Queue() for a in range(size) for b in range(size)}
    meeting, board, results = threading.Barrier(size), [None] * size, [None] * size

    def run(rank):
        results[rank] = work(Messages(rank, size, channels, meeting, board))

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results


@given(st.integers(1, 5), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_a_sum_in_order_has_the_bits_of_one_process(size, parts, seed):
    terms = np.random.default_rng(seed).standard_normal((parts, 4)).astype(np.float32) * 1e3
    slices = even_parts(parts, 1) if parts else []
    zero = np.zeros(4, np.float32)
    alone = ALONE.total(terms, zero)

    def work(communicator):
        ordered = Ordered(communicator)
        own = ordered.own(slices)
        return ordered.total([terms[part.start] for part in own], zero)

    for mine in together(size, work):
        np.testing.assert_array_equal(mine, alone)


@given(st.integers(1, 5), st.integers(0, 9))
def test_each_part_is_computed_by_exactly_one_process(size, parts):
    slices = even_parts(parts, 1) if parts else []
    shares = together(size, lambda communicator: Summed(communicator).own(slices))
    assert [part for share in shares for part in share] == slices
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_sum_by_one_message_agrees_to_rounding(size, parts, seed):
    terms = np.random.default_rng(seed).standard_normal((parts, 4))
    slices, zero = even_parts(parts, 1), np.zeros(4)

    def work(communicator):
        summed = Summed(communicator)
        return summed.total([terms[part.start] for part in summed.own(slices)], zero)

    # Each of up to 9 additions rounds by at most ε/2 of a sum of magnitudes.
    bound = parts * np.finfo(float).eps * np.abs(terms).sum(axis=0)
    for mine in together(size, work):
        assert (np.abs(mine - terms.sum(axis=0)) <= bound).all()


@given(st.integers(1, 200), st.integers(2, 9))
def test_the_default_parts_are_as_many_as_the_processes_or_twice_as_many(n, size):
    parts = len(even_parts(n, together(size, Summed)[0].part_size(n)))
    m = size if size % 2 == 0 else 2 * size
    assert parts <= n
    # With parts of p = ⌈n/m⌉ there are 2 ⌈n/2p⌉ = m, unless 2n ≤ (m − 1)(m − 2).
    assert parts == m or 2 * n <= (m - 1) * (m - 2) or n == 1


def test_sums_in_order_ask_for_the_size_of_a_part():
    (ordered,) = together(1, Ordered)
    with pytest.raises(ValueError, match="give part_size"):
        ordered.part_size(10)


def test_weights_that_differ_between_processes_are_an_error_that_names_them():
    def work(communicator):
        weights = [np.full(3, float(communicator.rank == 1))]
        try:
            check_same(Summed(communicator), weights, "the weights")
        except RuntimeError as error:
            return str(error)

    said = together(3, work)
    assert said[0].startswith("the weights of process 0 differ from those of [1]")
    assert said[1].startswith("the weights of process 1 differ from those of [0, 2]")


def test_anything_but_a_communicator_is_refused():
    assert processes_of(None) is ALONE
    with pytest.raises(TypeError, match=r"a communicator of mpi4py.*got int"):
        processes_of(4)


def test_a_training_by_threads_with_messages_has_the_bits_of_one_process():
    """A network with chains, too: each part moves its own share of them."""
    x = (sg.datasets.digits("train")[0].reshape(-1, 64)[:40] > 0.5).astype(np.float32)

    def weights(processes):
        rng = sg.generator(0)
        model = sg.models.RBM(64, 5, persistent=True, n_chains=10, rng=rng)
        sgd = sg.optim.SGD(model.parameters(), 0.1)
        settings = {"epochs": 2, "batch_size": 20, "part_size": 4}
        list(sg.train(model, x, sgd, rng=rng, processes=processes, **settings))
        return model.state_dict()

    alone = weights(None)
    for mine in together(3, lambda communicator: weights(Ordered(communicator))):
        for name, value in alone.items():
            np.testing.assert_array_equal(mine[name], value)


@given(st.integers(1, 4), st.integers(1, 30), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_what_is_drawn_in_parts_has_the_bits_of_one_process_and_leaves_the_generator_alike(
    size, n, of_part, seed
):
    def drawn(processes):
        rng = sg.generator(seed)
        with sharing(processes):
            x = drawn_in_parts(lambda part: [rng.random(part.stop - part.start)], n, rng, of_part)
            return x, rng.random()

    alone = drawn(ALONE)
    assert len(alone[0]) == n == len({*alone[0]})
    for mine in together(size, lambda communicator: drawn(Summed(communicator))):
        np.testing.assert_array_equal(mine[0], alone[0])
        assert mine[1] == alone[1]


def test_annealed_chains_that_several_processes_share_weigh_the_same():
    model = sg.models.RBM(6, 4, scale=0.5, rng=sg.generator(0))

    def estimate(processes):
        return model.log_partition_ais(250, 20, sg.generator(1), processes=processes)

    assert {*together(3, estimate)} == {estimate(None)}


def test_an_error_of_one_process_is_raised_in_all_and_the_next_figure_begins_together():
    """Process 1 fails within the parts of a figure, and process 2 before its own parts begin."""

    def lines(communicator):
        rank, rng = communicator.rank, sg.generator(0)

        def drawn(fails):
            def draw(part):
                if fails:
                    raise ValueError("no more numbers")
                return [rng.random(part.stop - part.start)]

            return {"sum": f"{drawn_in_parts(draw, 12, rng, 2).sum()}"}

        def early():
            if rank == 2:
                raise MemoryError
            return drawn(False)

        figures = ("parts", lambda: drawn(rank == 1)), ("early", early), ("all", lambda: drawn(0))
        with sharing(Summed(communicator)):
            return had(iter(figures))

    first, second, third = together(3, lines)
    assert first["parts"] == third["parts"] == "– (process 1: no more numbers)"
    assert second["parts"] == "– (no more numbers)"
    said = "– (process 2: it has left this computation after an error)"
    assert first["early"] == second["early"] == said
    assert third["early"] == "– (out of memory)"
    assert first["sum"] == second["sum"] == third["sum"]


def test_without_mpiexec_a_process_is_alone_and_mpi4py_is_not_imported():
    code = (
        "import sys, scratchgen.cli; from scratchgen.parallel.processes import *; "
        "assert started_together() is ALONE; assert 'mpi4py' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_mpiexec_without_mpi4py_is_an_error_that_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(RuntimeError, match=r"mpiexec started 2 processes.*pip install"):
        started_together.__wrapped__()


def run_together(size, *arguments, **options):
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    if MPIEXEC is None:
        pytest.skip("no mpiexec was found: pip install mpich")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [MPIEXEC, "-n", str(size), sys.executable, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=300, **options
    )


@pytest.mark.long
@pytest.mark.parametrize("size", [2, 3])
def test_models_on_several_processes_take_the_steps_of_one(size):
    names = ["ffnn", "gan", "ebm", "vdm"] if size == 2 else ["vae"]
    done = run_together(size, "-m", "mpi4py", "-m", "tests.parallel.every_model", *names, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if ": " in line]
    assert [line.split(":")[0] for line in lines] == names
    for line in lines:
        assert ": the same bits, " in line
        # float64; 20 steps of Adam, each of which divides two gradients that agree to 1e-15.
        assert float(line.split()[-1]) < 1e-6


@pytest.mark.long
def test_a_run_of_two_processes_outlives_a_full_disk_and_is_continued_by_one(tmp_path, monkeypatch):
    words = ["train", "ffnn", "--hidden", "8", "--out", "run", "--epochs"]
    done = run_together(2, "-m", "scratchgen", *words, "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 processes share each batch" in done.stdout
    model = tmp_path / "run" / "model.safetensors"
    before = model.read_bytes()
    full = (
        "import resource, scratchgen.cli as cli, scratchgen.parallel.processes as p\n"
        "if p.started_together().rank == 0:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"raise SystemExit(cli.main({[*words, '3', '--resume']}))"
    )
    done = run_together(2, "-c", full, cwd=tmp_path)
    assert done.returncode == 2
    assert "scratchgen: [Errno 27] File too large: 'run/model.safetensors'" in done.stderr
    assert model.read_bytes() == before
    monkeypatch.chdir(tmp_path)
    assert cli.main([*words, "2", "--resume"]) == 0
    assert len(sg.load(model).history) == 2


def test_two_processes_draw_the_samples_of_one_and_a_command_for_one_refuses_two(tmp_path):
    recipe = RECIPES["rbm"]
    settings = recipe.settings({"data": "digits", "hidden": 4, "chains": 2, "epochs": 1})
    data, run, rng = Data.named("digits"), Run(tmp_path / "run"), sg.generator(0)
    model = recipe.build(settings, data, rng)
    run.folder.mkdir()
    state = Checkpoint(model, recipe.optimizers(model, settings), rng, History())
    with run.training(Config.of("rbm", settings, data), state) as kept:
        kept.note(state)
    sample = ["-m", "scratchgen", "sample", "run", "--n", "250", "--out"]
    done = run_together(2, *sample, "two.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("250 means") == 1
    assert cli.main(["sample", str(run.folder), "--n", "250", "--out", f"{tmp_path}/one.npy"]) == 0
    assert (tmp_path / "two.npy").read_bytes() == (tmp_path / "one.npy").read_bytes()
    refused = run_together(2, "-m", "scratchgen", "info", cwd=tmp_path)
    assert refused.returncode == 2
    assert "started 2 processes, and scratchgen info is the work of one" in refused.stderr
    assert refused.stdout == ""


def test_an_error_of_one_process_ends_all_with_its_message(tmp_path):
    bad = (
        "import scratchgen.cli as cli, scratchgen.parallel.processes as p; "
        "named = cli.Data.named\n"
        "def other(*a):\n"
        "    data = named(*a)\n"
        "    if p.started_together().rank == 1: raise ValueError('no digits on this computer')\n"
        "    return data\n"
        "cli.Data.named = other\n"
        "raise SystemExit(cli.main(['train', 'ffnn', '--out', 'run', '--epochs', '3']))"
    )
    done = run_together(2, "-c", bad, cwd=tmp_path)
    assert done.returncode == 2
    assert "scratchgen: process 1: no digits on this computer" in done.stderr
