"""Faults that a GPU would have shown first, planted one by one: the rehearsal notices each of them."""

import contextlib
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional as F

from poisonlib import data, paths, training
from poisonlib.attacks import _double_backward
from poisonlib.augment import Augment
from poisonlib.augment.crop import Crop
from poisonlib.data import ImageSet
from poisonlib.experiments import environment, networks
from poisonlib.training import muon, numerics, optimizer

from . import test_rehearsal as whole
from .rehearsal.stage import rehearsal, strict_loops
from .rehearsal.trials import MATCHING, cell, network, recipe, trials
from .warm import FRESH

trial_module = sys.modules["poisonlib.experiments.trial"]
ONE = recipe(epochs=1)
TRIALS = trials()


def rehearsed(trial, folder, **driver):
    """The record of a trial on the second device."""
    with rehearsal(**driver) as mode, strict_loops(mode):
        return whole.record(trial, whole.SECOND, folder)


# What was found in this package


def test_a_worker_that_chooses_no_device(tmp_path, monkeypatch):
    monkeypatch.setattr(trial_module, "current", lambda device: contextlib.nullcontext())
    with pytest.raises(RuntimeError, match="did you call init"):
        rehearsed(cell(recipe=ONE), tmp_path)


def test_a_trial_that_works_on_the_first_device_where_it_was_given_the_second(tmp_path, monkeypatch):
    monkeypatch.setattr(trial_module, "current", lambda device: torch.cuda.device(0))
    with pytest.raises(RuntimeError, match="work on cuda:1, but the device that was chosen is cuda:0"):
        rehearsed(cell(recipe=ONE), tmp_path)


def test_a_captured_step_on_a_device_that_is_not_the_current_one(monkeypatch):
    with rehearsal(), torch.cuda.device(0), torch.cuda.device(whole.SECOND):
        monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
        torch.cuda.set_device(0)
        with pytest.raises(RuntimeError, match="work on cuda:1, but the device that was chosen is cuda:0"):
            whole.fitted(*whole.GRAPHS["cutmix"], graph=True)


def test_batch_norm_without_saved_statistics(tmp_path, monkeypatch):
    def backward(self, g, x, weight, bias):
        statistics = self.mean, self.variance, None, None, False, self.eps
        return torch.ops.aten.native_batch_norm_backward(g, x, weight, *statistics, [True, True, True])

    monkeypatch.setattr(_double_backward.BatchNorm, "backward", backward)
    with pytest.raises(RuntimeError, match="asserts on CUDA that saved statistics are given"):
        rehearsed(cell(MATCHING, model=network("cifar_resnet"), recipe=ONE), tmp_path)


def test_a_captured_step_that_does_not_restore_the_generator_of_dropout(monkeypatch):
    with rehearsal(), torch.cuda.device(whole.SECOND):
        eager = whole.fitted(*whole.GRAPHS["dropout"], graph=False)
        monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: None)
        assert not whole.same(eager, whole.fitted(*whole.GRAPHS["dropout"], graph=True))


def test_a_captured_step_that_does_not_restore_its_noise(monkeypatch):
    with rehearsal(), torch.cuda.device(whole.SECOND):
        eager = whole.fitted(*whole.GRAPHS["mixup and noise"], graph=False)
        monkeypatch.setattr(torch.Generator, "set_state", lambda self, state: self)
        assert not whole.same(eager, whole.fitted(*whole.GRAPHS["mixup and noise"], graph=True))


def test_rates_that_a_captured_step_reads_on_the_host(monkeypatch):
    with rehearsal(), torch.cuda.device(whole.SECOND):
        eager = whole.fitted(*whole.GRAPHS["a rate for each step"], graph=False)
        make = optimizer.make_optimizer

        def on_the_host(*arguments):
            made = make(*arguments)
            for group in made.param_groups:
                group["lr"] = group["peak"]
            return made

        monkeypatch.setattr(whole.fit, "make_optimizer", on_the_host)
        assert not whole.same(eager, whole.fitted(*whole.GRAPHS["a rate for each step"], graph=True))


def test_a_generator_that_is_not_registered_with_the_graph(monkeypatch):
    with rehearsal(), torch.cuda.device(whole.SECOND):
        monkeypatch.setattr(torch.cuda.CUDAGraph, "register_generator_state", lambda self, generator: None)
        with pytest.raises(RuntimeError, match="its generator was not registered"):
            whole.fitted(*whole.GRAPHS["mixup and noise"], graph=True)


def test_a_gradient_that_has_another_layout_than_its_parameter(tmp_path, monkeypatch):
    """Muon's, as it was: contiguous, beside filters in channels_last."""
    momentum = muon.Muon._momentum

    def contiguous(self, filters, decay):
        found = momentum(self, filters, decay)
        filters.grad = torch.empty_like(filters, memory_format=torch.contiguous_format)
        return found

    monkeypatch.setattr(muon.Muon, "_momentum", contiguous)
    with pytest.raises(RuntimeError, match="the layouts of parameter and gradient, differ"):
        rehearsed(TRIALS["recipe muon"], tmp_path)


def test_a_product_of_integers(tmp_path, monkeypatch):
    """The number of a crop's window, as it was."""

    def view(self, params):
        return params["corner"] @ torch.tensor([2 * self.pad + 1, 1], device=params["corner"].device)

    monkeypatch.setattr(Crop, "view", view)
    with pytest.raises(RuntimeError, match=r"aten.mv.* is not implemented on CUDA for integers"):
        rehearsed(TRIALS["transfer"], tmp_path)


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("buffer", lambda self, n: torch.empty((n, *self.shape), dtype=self.images.dtype), "pageable memory"),
        ("pixels", lambda self, index: self.images[index.to(self.images.device)].to(self.device), "the host waits"),
    ],
)
def test_images_that_are_streamed_from_pageable_memory(name, fault, words, tmp_path, monkeypatch):
    monkeypatch.setattr(ImageSet, name, fault)
    with pytest.raises(RuntimeError, match=words):
        rehearsed(whole.BESIDE["clean images to mix with"], tmp_path, free=100_000)


def test_a_filter_that_moves_the_images_beside_the_device_onto_it(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageSet, "kept", ImageSet.take)
    with pytest.raises(AssertionError):
        whole.test_images_that_do_not_fit_stay_beside_the_device_and_change_nothing("a filter", tmp_path, monkeypatch)


@pytest.mark.parametrize(("free", "resident"), [(2**20, False), (2**24, True)])
def test_images_go_to_the_device_by_the_memory_that_is_free(free, resident):
    """Two workers on one GPU: the second finds less. 160 images of 3 x 12 x 12 bytes are 69 kB, the test images 1,360 x 432."""
    with rehearsal(free=free), torch.cuda.device(whole.SECOND):
        source = data.source("digits", size=12, channels=3)
        assert networks.images(source, "train", torch.device(whole.SECOND)).resident == resident


def test_requirements_ask_for_a_torch_whose_deterministic_assignment_to_indices_is_right_on_cuda():
    """Before 2.8, a value that is broadcast, such as a trigger that is pasted into many images, was assigned wrongly."""
    (line,) = [each for each in (paths.root() / "requirements.txt").read_text().splitlines() if each.startswith("torch>=")]
    assert tuple(map(int, line.removeprefix("torch>=").split("."))) >= (2, 8)


def test_the_workspace_of_cublas_is_set_as_soon_as_the_package_is_imported():
    code = "import os, poisonlib.training; print(os.environ['CUBLAS_WORKSPACE_CONFIG'])"
    bare = {"PYTHONPATH": str(paths.root()), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([FRESH, "-c", code], capture_output=True, text=True, env=bare)
    assert done.stdout.strip() == ":4096:8", done.stderr


def test_a_process_that_used_cuda_before_is_warned(monkeypatch):
    monkeypatch.setattr(numerics, "LATE", True)
    with (
        pytest.warns(UserWarning, match="import poisonlib first, or set CUBLAS_WORKSPACE_CONFIG"),
        training.settings(training.Numerics()),
    ):
        pass


def test_a_process_that_has_no_device_chosen_reads_no_memory(monkeypatch):
    with rehearsal():
        with pytest.raises(RuntimeError, match="did you call init"):
            environment.reset_peak_memory(torch.device(whole.SECOND))
        with environment.current(torch.device(whole.SECOND)):
            environment.reset_peak_memory(torch.device(whole.SECOND))
        with pytest.raises(RuntimeError, match="did you call init"):
            environment.peak_memory(torch.device(whole.SECOND))


# What a new file could bring in


@dataclass(frozen=True)
class Planted(Augment):
    """An augmentation with one fault."""

    fault: str = "none"

    def sample_params(self, n, shape, generator):
        return {"level": torch.rand(n, generator=generator)}

    def apply(self, x, y, params, generator=None):
        return getattr(self, self.fault)(x, params["level"]), y

    def other_device(self, x, level):
        return x * torch.ones(x.shape)

    def other_generator(self, x, level):
        return x + torch.rand(x.shape, device=x.device, generator=torch.Generator().manual_seed(1))

    def value(self, x, level):
        return x * level.mean().item()

    def mask(self, x, level):
        return torch.cat([x[level > 0.5], x[level <= 0.5]])

    def copy(self, x, level):
        return x * torch.tensor(0.5, device=x.device)

    def print(self, x, level):
        return x * max(level.tolist())


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("other_device", "tensors on two devices"),
        ("other_generator", "the generator is on cpu, the result on cuda"),
        ("value", "the host waits: aten._local_scalar_dense"),
        ("mask", "the host waits: aten.index"),
        ("copy", "the host waits: aten._to_copy"),
        ("print", "the host waits: aten._to_copy"),
    ],
)
def test_an_augmentation_that_cuda_would_refuse_or_wait_for(fault, words, tmp_path):
    with pytest.raises(RuntimeError, match=words):
        rehearsed(cell(defence=Planted(fault), recipe=ONE), tmp_path)


@pytest.mark.parametrize(
    "work",
    [
        lambda x: F.pad(x, (1, 1, 1, 1), "reflect"),
        lambda x: F.grid_sample(x, torch.zeros(2, 4, 4, 2, device=x.device), align_corners=True),
        lambda x: F.adaptive_avg_pool2d(x, 3),
        lambda x: F.adaptive_max_pool2d(x, 3),
    ],
)
def test_gradients_that_cuda_does_not_have_in_a_deterministic_form(work):
    x = torch.rand(2, 3, 8, 8).requires_grad_()
    with training.settings(training.Numerics()):
        work(x).sum().backward()  # which a CPU does
        with pytest.raises(RuntimeError, match="has no deterministic form on CUDA"), rehearsal(), torch.cuda.device(0):
            work(x.detach().to("cuda:0").requires_grad_()).sum().backward()


def test_afterwards_torch_is_as_it_was():
    before = torch.Generator, torch.tensor, torch.cuda.is_available, torch.cuda.random.device_count
    with rehearsal():
        assert torch.cuda.is_available() and torch.cuda.device_count() == 2
    assert (torch.Generator, torch.tensor, torch.cuda.is_available, torch.cuda.random.device_count) == before
    assert not torch.__future__.get_overwrite_module_params_on_conversion()
