import numpy as np
import pytest

from smidgen.errors import BadInput
from smidgen.formats import Grid
from smidgen.graph import Graph, Value
from smidgen.measure.accuracy import accuracy, predict, quantized_inputs
from smidgen.measure.size import file_size

PORT = Value((3,), "int8", Grid(0.5, 10))


def network(*inputs):
    return Graph("net", (), dict.fromkeys(inputs, PORT), {}, inputs, ())


def test_inputs_are_put_on_the_network_s_own_grid():
    x = np.array([[0.0, 0.24, 0.26], [100.0, -100.0, 1.0]], np.float32)
    assert quantized_inputs(network("x"), x).tolist() == [[10, 10, 11], [127, -128, 12]]
    assert quantized_inputs(network("x"), x).dtype == np.int8


def test_real_inputs_stay_real():
    x = np.ones((2, 3), np.float32)
    graph = Graph("net", (), {"x": Value((3,))}, {}, ("x",), ())
    assert quantized_inputs(graph, x) is x


def test_two_inputs_are_refused():
    with pytest.raises(BadInput, match="2 inputs, but one is needed"):
        quantized_inputs(network("a", "b"), np.ones((1, 3), np.float32))


def test_the_largest_integer_output_is_the_label_and_the_first_of_equals():
    outputs = np.array([[[1, 5, 2]], [[7, 7, -9]]], np.int8)
    assert predict(network("x"), lambda x: outputs, np.zeros((2, 3), np.float32)).tolist() == [1, 0]


def test_accuracy_is_a_percentage_with_its_binomial_error():
    found = accuracy(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]))
    assert (found.value, found.unit, found.repeats) == (75.0, "%", 4)
    assert found.spread == pytest.approx(100 * np.sqrt(0.75 * 0.25 / 4))


def test_no_samples_have_no_accuracy():
    with pytest.raises(ValueError, match="labels"):
        accuracy(np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_a_file_s_size_is_its_length(tmp_path):
    (tmp_path / "f").write_bytes(b"12345")
    assert file_size(tmp_path / "f").value == 5
