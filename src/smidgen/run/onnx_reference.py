"""onnx's own evaluator, with an end to its loops: a file from elsewhere must not hang whoever loads it."""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import Any

import numpy as np

MOST_TURNS = 5_000  # of one Loop; longer recurrences belong into Scan, LSTM or GRU


def evaluator(model: Any) -> Any:
    """A `ReferenceEvaluator` of a model, whose loops raise ValueError after `MOST_TURNS` turns."""
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(model, new_ops=[_bounded_loop()])


@cache
def _bounded_loop() -> type:
    from onnx.reference.ops import op_loop

    class Loop(op_loop.Loop):  # type: ignore[misc]  # the name is what onnx looks for
        op_domain = ""

        def _run(self, most: Any, go_on: Any, *args: Any, **kwargs: Any) -> Any:
            turn = self.__dict__["_run_body"]  # onnx sets one an attribute
            turns = count()

            def counted(*inputs: Any, **named: Any) -> Any:
                if next(turns) >= MOST_TURNS:
                    raise ValueError(f"a Loop takes more than {MOST_TURNS:,} turns")
                return turn(*inputs, **named)

            self.__dict__["_run_body"] = counted
            try:
                # A condition left out is true; onnx takes it for false.
                return super()._run(most, np.array(True) if go_on is None else go_on, *args, **kwargs)
            finally:
                self.__dict__["_run_body"] = turn

    return Loop
