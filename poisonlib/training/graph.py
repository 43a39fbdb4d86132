"""Whole training steps as CUDA graphs: same kernels, same bits, without the launch gaps."""

import copy

import torch
from torch import Tensor

WARM_UP = 3  # eager steps on a side stream before capture, as CUDA's libraries choose and allocate on first use


class Replay:
    """A step ``(pipeline, positions, draws) -> loss`` captured at its first call for each pipeline and batch size.

    It is captured anew for each learning rate. Warm-up steps move weights, momentum, statistics and the noise stream, so all four
    are put back before the capture.
    """

    def __init__(self, step, network: torch.nn.Module, optimiser: torch.optim.Optimizer, noise: torch.Generator):
        if noise.device.type != "cuda":
            raise ValueError(f"graph=True on device {noise.device}: CUDA graphs need a CUDA device")
        if isinstance(optimiser, torch.optim.Adam):
            raise ValueError("graph=True, optimiser='adam': its steps are counted on the host; choose graph=False")
        self.step, self.network, self.optimiser, self.noise = step, network, optimiser, noise
        self.captured, self.rate = {}, None

    def __call__(self, pipeline, at: Tensor, draws: list[dict[str, Tensor]]) -> Tensor:
        if (rate := self.optimiser.param_groups[0]["lr"]) != self.rate:
            self.captured, self.rate = {}, rate  # a graph holds the memory of a whole step, and rates do not come back
        key = pipeline, len(at)
        if key not in self.captured:
            self.captured[key] = self._capture(pipeline, at, draws)
        graph, static_at, static_draws, loss = self.captured[key]
        static_at.copy_(at)
        for static, draw in zip(static_draws, draws, strict=True):
            for name, tensor in draw.items():
                static[name].copy_(tensor)
        graph.replay()
        return loss.clone()

    def _capture(self, pipeline, at, draws):
        at, draws = at.clone(), [{name: tensor.clone() for name, tensor in draw.items()} for draw in draws]
        self._warm_up(pipeline, at, draws)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.noise)
        with torch.cuda.graph(graph):
            loss = self.step(pipeline, at, draws)
        return graph, at, draws, loss

    def _warm_up(self, pipeline, at, draws):
        tensors = [*self.network.parameters(), *self.network.buffers()]
        before, state = [t.detach().clone() for t in tensors], copy.deepcopy(self.optimiser.state_dict())
        noise = self.noise.get_state()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.step(pipeline, at, draws)
        torch.cuda.current_stream().wait_stream(side)
        with torch.no_grad():
            for tensor, old in zip(tensors, before, strict=True):
                tensor.copy_(old)
        self._restore(state)
        self.noise.set_state(noise)

    def _restore(self, state):
        """Momentum back to what it was, in the same memory; zero where there was none, which is where SGD starts."""
        for index, parameter in enumerate(p for group in self.optimiser.param_groups for p in group["params"]):
            for name, value in self.optimiser.state[parameter].items():
                if torch.is_tensor(value):
                    old = state["state"].get(index, {}).get(name)
                    value.zero_() if old is None else value.copy_(old)
