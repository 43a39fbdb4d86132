"""Training steps as CUDA graphs: the same kernels and bits, without the gaps between launches."""

import copy

import torch
from torch import Tensor

from .batches import Batch

WARM_UP = 3  # eager steps on a side stream before capture: CUDA libraries choose kernels and allocate at their first call


class Replay:
    """A step ``(pipeline, batch) -> loss``, captured at its first call for each pipeline and batch size.

    It reads the optimizer's rates, which are tensors, at each replay. Warm-up steps change weights, momentum, batch statistics, the
    noise stream and the generator that dropout draws from, so all are restored before the capture.
    """

    def __init__(self, step, network: torch.nn.Module, optimizer: torch.optim.Optimizer, noise: torch.Generator):
        if noise.device.type != "cuda":
            raise ValueError(f"graph=True on device {noise.device}: CUDA graphs need a CUDA device")
        if isinstance(optimizer, torch.optim.Adam):
            raise ValueError("graph=True, optimizer='adam': it counts its steps on the host; choose graph=False")
        self.step, self.network, self.optimizer, self.noise = step, network, optimizer, noise
        self.captured = {}

    def __call__(self, pipeline, batch: Batch) -> Tensor:
        key = pipeline, len(batch.at)
        if key not in self.captured:
            with torch.cuda.device(self.noise.device):  # streams and graphs are made on the current device
                self.captured[key] = self._capture(pipeline, batch)
        graph, static, loss = self.captured[key]
        for kept, tensor in zip(static.tensors, batch.tensors, strict=True):
            kept.copy_(tensor)
        graph.replay()
        return loss.clone()

    def _capture(self, pipeline, batch):
        static = batch.clone()
        self._warm_up(pipeline, static)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.noise)
        with torch.cuda.graph(graph):
            loss = self.step(pipeline, static)
        return graph, static, loss

    def _warm_up(self, pipeline, batch):
        tensors = [*self.network.parameters(), *self.network.buffers()]
        before, state = [t.detach().clone() for t in tensors], copy.deepcopy(self.optimizer.state_dict())
        noise, dropout = self.noise.get_state(), torch.cuda.get_rng_state(self.noise.device)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.step(pipeline, batch)
        torch.cuda.current_stream().wait_stream(side)
        with torch.no_grad():
            for tensor, old in zip(tensors, before, strict=True):
                tensor.copy_(old)
        self._restore(state)
        self.noise.set_state(noise)
        torch.cuda.set_rng_state(dropout, self.noise.device)

    def _restore(self, state):
        """Restore the momentum in place; to zero, where SGD starts, if there was none."""
        for index, parameter in enumerate(p for group in self.optimizer.param_groups for p in group["params"]):
            for name, value in self.optimizer.state[parameter].items():
                if torch.is_tensor(value):
                    old = state["state"].get(index, {}).get(name)
                    value.zero_() if old is None else value.copy_(old)
