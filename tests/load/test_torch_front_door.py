"""What users hand over: nested inputs, odd precisions, wrapped modules, and errors that name their line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smidgen.codec.container import write_smg
from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.load import load
from smidgen.run.float_ops import run_float_all
from smidgen.run.islands import islands

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)


class Named(Base):
    def forward(self, pair: dict[str, Tensor], *, shift: Tensor | None = None) -> dict[str, Any]:
        y = self.layer(pair["a"]) + pair["b"]
        return {"logits": y if shift is None else y + shift, "heads": [torch.relu(y)], "nothing": None}


class Buffers(Base):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.arange(4.0))
        self.register_buffer("passing", torch.ones(4) / 3, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.layer(x) * self.kept)
        x.add_(self.passing)
        return x


class Branches(Base):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            x = -x
        return self.layer(x)


class Items(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if x.max().item() > 1 else x


class Prints(Base):
    def forward(self, x: Tensor) -> Tensor:
        print(f"{float(x.sum()):.3f}")
        return self.layer(x)


class Arrays(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.from_numpy(np.abs(x.numpy())))


class Loops(Base):
    def forward(self, x: Tensor) -> Tensor:
        while x.sum() > 100:
            x = x / 2
        return self.layer(x)


class Noisy(Base):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.layer(x))


class Picks(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[x[:, 0] > 0]


class Condition(Base):
    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = torch.cond(x.sum() > 0, lambda x: self.layer(x), lambda x: -x, (x,))
        return made


class Repeats(Base):
    def forward(self, x: Tensor) -> Tensor:
        from torch._higher_order_ops.while_loop import while_loop

        state = (torch.tensor(0), x + 0)
        made = while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, self.layer(x) + x), state)
        return made[1]  # type: ignore[no-any-return]


class Tied(nn.Module):
    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(40, 40, bias=False), nn.Linear(40, 40, bias=False)
        if tied:
            self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(torch.relu(self.first(x)))
        return y


def agree(graph: Graph, expected: list[Tensor], *x: Tensor) -> None:
    made = run_float_all(graph, [a.numpy() for a in x])
    for found, wanted in zip(made, expected, strict=True):
        assert np.allclose(found, wanted.detach().float().numpy(), atol=1e-5)


def test_nested_inputs_and_outputs_are_flattened_with_the_users_names() -> None:
    module = Named()
    graph = load(module, {"pair": {"a": X, "b": X + 1}, "shift": X - 1})
    assert graph.inputs == ("pair_a", "pair_b", "shift")
    assert graph.outputs == ("logits", "heads.0")
    made = module({"a": X, "b": X + 1}, shift=X - 1)
    agree(graph, [made["logits"], made["heads"][0]], X, X + 1, X - 1)


def test_buffers_and_changes_in_place() -> None:
    module = Buffers()
    agree(load(module, X), [module(X)], X)


def test_shared_weights_are_stored_once_in_the_file(tmp_path: Path) -> None:
    sizes = {}
    for tied in (True, False):
        write_smg(tmp_path / "m.smg", [load(Tied(tied), torch.randn(2, 40))])
        sizes[tied] = (tmp_path / "m.smg").stat().st_size
    assert sizes[True] < 0.6 * sizes[False]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32_and_the_module_stays(dtype: torch.dtype) -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).to(dtype)
    graph = load(module, X.to(dtype))
    assert module[0].weight.dtype == dtype
    agree(graph, [module.float()(X)], X)


def test_wrapped_modules_are_unwrapped() -> None:
    module = nn.Sequential(nn.Linear(4, 4))
    for wrapped in (torch.compile(module), nn.DataParallel(module)):
        assert list(load(wrapped, X).weights) == ["0.weight", "0.bias"]


@pytest.mark.parametrize(
    ("kind", "line", "remedy"),
    [
        (Branches, "if x.sum() > 0:", "torch.where"),
        (Items, "x.max().item() > 1", "remove .item()"),
        (Prints, "print(f", "Remove the print"),
        (Arrays, "x.numpy()", "torch functions"),
        (Loops, "while x.sum() > 100:", "torch.while_loop"),
        (Noisy, "F.dropout(self.layer(x))", "training=self.training"),
        (Picks, "[x[:, 0] > 0]", "Fix all others"),
    ],
)
def test_a_refusal_names_the_users_line_and_what_to_change(
    kind: type[nn.Module], line: str, remedy: str
) -> None:
    with pytest.raises(BadInput) as refusal:
        load(kind(), X)
    text = str(refusal.value)
    assert f"{__file__}:" in text
    assert line in text
    assert remedy in text


def test_modules_without_python_code_or_numbers_are_refused() -> None:
    for module in (torch.jit.trace(nn.Linear(4, 4), X), nn.Linear(4, 4, device="meta")):
        with pytest.raises(BadInput, match=r"TorchScript|meta device"):
            load(module, X)


def test_a_state_dict_is_refused_with_the_remedy() -> None:
    with pytest.raises(BadInput, match="load_state_dict"):
        load(nn.Linear(4, 4).state_dict(), X)


@pytest.mark.parametrize("kind", [Condition, Repeats])
def test_branches_and_loops_of_the_data_run_as_islands(kind: type[nn.Module]) -> None:
    module = kind()
    graph = load(module, X)
    assert [(i.source, i.remedy) for i in islands(graph)] != []
    for x in (X, -X, torch.cat([X, X])):
        agree(graph, [module(x)], x)
