"""Start from an ONNX file: here a scikit-learn network, written by hand to show that nothing else is needed.

The result goes back to ONNX too, as integer arithmetic that any ONNX runtime computes to the same bytes.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import smidgen
from smidgen.api import network
from smidgen.codec.container import write_smg
from smidgen.data import Dataset, Splits
from smidgen.emit.onnx import OnnxEmitter
from smidgen.lower import lower
from smidgen.methods import Context, Recipe
from smidgen.targets import load_target

folder = Path("runs/examples/onnx")
folder.mkdir(parents=True, exist_ok=True)
images, labels = load_digits(return_X_y=True)
x, y = (images / 16).astype(np.float32), labels.astype(np.int64)
classifier = MLPClassifier((48,), tol=1e-3, random_state=0).fit(x[:1400], y[:1400])

weights = {"w1": classifier.coefs_[0], "b1": classifier.intercepts_[0]}
weights |= {"w2": classifier.coefs_[1], "b2": classifier.intercepts_[1]}
graph = helper.make_graph(
    [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], "hidden"),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["y"], "classes"),
    ],
    "sklearn_mlp",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
    [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
)
file = folder / "mlp.onnx"
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), file)

original = smidgen.load(file)
parts = (Dataset(x[rows], y[rows]) for rows in (slice(1200), slice(1200, 1400), slice(1400, None)))
data = Splits(*parts, classes=10)
recipe = Recipe.from_yaml("- quantize.affine: {bits: 4}\n- tune.fit: {epochs: 10}")
integer = lower(recipe.apply(original, Context(data, original)))
artifact = OnnxEmitter(float_boundary=True).emit(integer, load_target("generic-c"), folder / "compressed")
smg_bytes = write_smg(folder / "mlp.smg", [integer])
print(f"float32 ONNX {file.stat().st_size:,} B → integer ONNX {artifact.nbytes:,} B, .smg {smg_bytes:,} B")

labels = artifact.run(data.test.x).argmax(axis=1)  # by ONNX Runtime
before, after = classifier.score(data.test.x, data.test.y), (labels == data.test.y).mean()
print(f"test accuracy: scikit-learn {before:.1%}, integer ONNX file {after:.1%}")
same = np.array_equal(labels, network(integer).predict(data.test.x))
print(f"labels equal those of the native back end: {same}")
