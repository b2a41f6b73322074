"""Each known attack and defect has its own clear message, and takes no memory worth mentioning."""

from __future__ import annotations

import os
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper

from smidgen.data import load_user_data
from smidgen.data.readers.thrift import NotThrift, Reader
from smidgen.errors import IllegalGraph, SmidgenError
from smidgen.graph import GraphBuilder
from smidgen.load import load
from smidgen.methods.recipe import read_recipe
from smidgen.targets.registry import load_target
from tests.cli.messages import is_documented
from tests.load.onnx_models import constant, floats, integers, model, op

MODEST_BYTES = 24 << 20


def refusal(use: Callable[[Path], object], path: Path) -> str:
    """The message, from at most `MODEST_BYTES` of memory that Python knows of."""
    tracemalloc.start()
    try:
        with pytest.raises(SmidgenError) as caught:
            use(path)
        assert tracemalloc.get_traced_memory()[1] < MODEST_BYTES
    finally:
        tracemalloc.stop()
    assert is_documented(str(caught.value)), f"docs/TROUBLESHOOTING.md does not explain: {caught.value}"
    return str(caught.value)


# Recipes and device descriptions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 5000, "nested too deep"),
        (b"- quantize.affine: &a {bits: 4}\n- tune.fit: *a", "aliases are not read"),
        (b"- quantize.affine: {bits: 4, bits: 8}", "bits is given twice"),
        (
            b"- quantize.affine: {bits: four}",
            "the setting bits does not fit (Input should be a valid int",
        ),
        (
            b"- quantize.affine: {bits: true}",
            "the setting bits does not fit (Input should be a valid int",
        ),
        (b"- tune.fit: {lr: .nan}", "the setting lr does not fit (Input should be a finite number"),
        (b"- !!python/object/apply:os.system [id]", "not YAML"),
        (b"- ..recipe: {}", "unknown step '..recipe'"),
        (b"- quantize.affine: {bits: 4}\xff", "not UTF-8"),
        (b"# " + b"x" * (1 << 20), "it has 1 MB, but 1 MB are allowed"),
    ],
)
def test_a_hostile_recipe(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "r.yaml").write_bytes(text)
    assert message in refusal(read_recipe, tmp_path / "r.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a = " + b"[" * 5000, "nested too deep"),
        (
            b'name = "x"\nkind = "host"\nprice_usd_per_hour = inf',
            "price_usd_per_hour: Input should be a finite",
        ),
        (b'name = "x"\nname = "y"', "Cannot overwrite a value"),
        (b'name = "\xff"', "not readable as TOML"),
        (b"#" * ((1 << 20) + 1), "1 MB are allowed"),
    ],
)
def test_a_hostile_device_description(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "t.toml").write_bytes(text)
    assert message in refusal(load_target, tmp_path / "t.toml")


# Arrays


def npz(path: Path, members: list[tuple[str, bytes]], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def npy(shape: str = "(4, 2)", descr: str = "'<f4'", data: bytes = bytes(32)) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + data


def use_data(path: Path) -> object:
    return load_user_data(str(path))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (npy("(1099511627776, 2)"), "takes 8796093022208 bytes, but the file holds 32"),
        (npy("(-4, -2)"), "numbers are needed"),
        (npy("(4, 3)"), "takes 48 bytes, but the file holds 32"),
        (npy("(" * 300), "header of array 'x' can't be read"),
        (npy("(4, 2"), "header of array 'x' can't be read"),
        (npy(descr="'|O'"), "objects could run code"),
        (npy(descr="[('a', '<f4')]"), "numbers are needed"),
        (b"\x93NUMPY\3\0" + npy()[8:], "format (3, 0)"),
        (npy(data=np.full(8, np.nan, np.float32).tobytes()), "x: row 0 has NaN or infinity"),
    ],
)
def test_a_hostile_array(tmp_path: Path, array: bytes, message: str) -> None:
    labels = npy("(4,)", "'<i8'", np.array([0, 1, 0, 1]).tobytes())
    path = npz(tmp_path / "d.npz", [("x.npy", array), ("y.npy", labels)])
    assert message in refusal(use_data, path)


def test_a_zip_bomb_is_refused_by_what_it_declares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_MAX_DECODED", "32MB")
    path = npz(tmp_path / "d.npz", [("x.npy", npy("(16777216, 1)", data=bytes(64 << 20)))])
    assert path.stat().st_size < 100_000
    assert "take 64 MB of memory, but 32 MB are allowed" in refusal(use_data, path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "d.npz", [("x.npy", npy()), ("x.npy", npy())])
    assert "two arrays are called 'x'" in refusal(use_data, path)


def test_a_packing_whose_dictionary_takes_gigabytes_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "d.npz", [("x.npy", npy())], zipfile.ZIP_LZMA)
    assert "packed by method 14, but 0 (stored) and 8 (deflate) are read" in refusal(use_data, path)


def test_an_endless_list_of_arrays_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "d.npz", [(f"{i}{'n' * 900}.npy", b"") for i in range(1200)])
    assert "its list of arrays has 1.09 MB, but 1 MB are allowed" in refusal(use_data, path)


def test_a_wrong_checksum_is_called_that(tmp_path: Path) -> None:
    path = npz(tmp_path / "d.npz", [("x.npy", npy())], zipfile.ZIP_STORED)
    data = path.read_bytes()
    path.write_bytes(data.replace(npy(), npy(data=b"\1" * 32)))
    assert "Bad CRC-32" in refusal(use_data, path)


# Parquet


def table(path: Path, **options: Any) -> bytes:
    columns = {"a": np.zeros(1 << 20), "label": np.arange(1 << 20) % 2}
    pq.write_table(pa.table(columns), path, compression="zstd", use_dictionary=False, **options)
    return path.read_bytes()


def with_number(data: bytes, old: int, new: int) -> bytes:
    """A page's or the footer's number replaced, in the code of the format (and of the same length)."""
    codes = [_zigzag(number) for number in (old, new)]
    assert len(codes[0]) == len(codes[1])
    assert codes[0] in data
    return data.replace(*codes)


def _zigzag(number: int) -> bytes:
    out, code = bytearray(), 2 * number
    while code >= 0x80:
        out.append(code & 0x7F | 0x80)
        code >>= 7
    return bytes((*out, code))


def test_a_parquet_page_that_unpacks_to_more_than_was_claimed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    data = table(path)
    claimed = [pq.ParquetFile(path).metadata.row_group(0).column(i).total_uncompressed_size for i in (0, 1)]
    for size in claimed:
        data = with_number(data, size, 1 << 21)
    path.write_bytes(data)
    assert "its pages unpack to" in refusal(use_data, path)
    assert "but it claims 4 MB" in refusal(use_data, path)


def test_a_parquet_file_over_the_limit_is_refused_by_its_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path / "d.parquet")
    monkeypatch.setenv("SMIDGEN_MAX_DECODED", "8MB")
    message = refusal(use_data, tmp_path / "d.parquet")
    assert "it takes 16" in message
    assert "8 MB are allowed. If you trust it, raise the limit: SMIDGEN_MAX_DECODED=8GB" in message


def test_a_parquet_footer_that_is_cut_off_says_so(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    path.write_bytes(table(path)[:-20])
    assert "its footer is missing or too long" in refusal(use_data, path)


def test_structs_nested_without_end_are_no_thrift() -> None:
    with pytest.raises(NotThrift, match="deep"):
        Reader(b"\x1c" * 100_000).struct()


def test_lists_of_a_billion_structs_are_no_thrift() -> None:
    with pytest.raises(NotThrift, match="over 150000 structs"):
        Reader(b"\x19\xfc" + b"\xff\xff\xff\xff\7" + b"\0" * 200_000).struct()


# Images


def test_an_image_that_claims_billions_of_pixels_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    size = (60_000).to_bytes(4, "big")
    head = chunk(b"IHDR", size + size + bytes((8, 2, 0, 0, 0)))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(bomb)
    message = refusal(use_data, tmp_path)
    assert "pixels" in message


# ONNX


def saved(path: Path, made: Any) -> Path:
    path.write_bytes(made.SerializeToString())
    return path


def with_external(path: Path, location: str, elements: int = 4, **entries: str) -> Path:
    made = model([op("Add", "x w")], {"w": floats(4)})
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.dims[:] = [elements]
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return saved(path, made)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "sub/../../secret.bin", ""])
def test_weights_outside_the_model_s_folder_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    (tmp_path / "in").mkdir()
    message = refusal(load, with_external(tmp_path / "in" / "m.onnx", location))
    assert "weights must lie in the model's own folder" in message


def test_a_link_to_weights_outside_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    (tmp_path / "in").mkdir()
    os.symlink(tmp_path / "secret.bin", tmp_path / "in" / "w.bin")
    message = refusal(load, with_external(tmp_path / "in" / "m.onnx", "w.bin"))
    assert "weights must lie in the model's own folder" in message


def test_external_weights_shorter_than_declared_are_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    message = refusal(load, with_external(tmp_path / "m.onnx", "w.bin", elements=1 << 28))
    assert "the weight w takes 1073741824 bytes, 16 of 'w.bin' are named" in message


def test_weights_that_declare_more_than_the_limit_are_refused(tmp_path: Path) -> None:
    made = model([op("Add", "x w")], {"w": floats(4)})
    made.graph.initializer[0].dims[:] = [1 << 40]
    message = refusal(load, saved(tmp_path / "m.onnx", made))
    assert "w of shape [1099511627776], take 4096 GB, but 4 GB are allowed" in message


def test_a_constant_blown_up_while_loading_is_refused(tmp_path: Path) -> None:
    made = model([constant("n", integers(1 << 31)), op("ConstantOfShape", "n", "c"), op("Add", "x c")])
    message = refusal(load, saved(tmp_path / "m.onnx", made))
    assert "ConstantOfShape of constants fails (it would make 8 GB out of 8 B)" in message


def test_many_constants_blown_up_a_little_are_refused(tmp_path: Path) -> None:
    nodes = [constant("n", integers(1 << 21))]
    nodes += [op("ConstantOfShape", "n", f"c{i}") for i in range(40)]
    message = refusal_of_large(load, saved(tmp_path / "m.onnx", model([*nodes, op("Add", "x c0")])))
    assert "constants computed while loading take" in message


def refusal_of_large(use: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(SmidgenError) as caught:
        use(path)
    return str(caught.value)


def test_functions_that_expand_without_end_are_refused(tmp_path: Path) -> None:
    made = model([helper.make_node("f0", ["x"], ["y"], domain="own")])
    made.opset_import.append(helper.make_opsetid("own", 1))
    opsets = [helper.make_opsetid("own", 1), helper.make_opsetid("", 17)]
    for level in range(40):
        name, last = f"f{level + 1}", level == 39
        step = ("Relu", "") if last else (name, "own")
        nodes = [helper.make_node(step[0], [a], [b], domain=step[1]) for a, b in (("a", "m"), ("m", "b"))]
        made.functions.append(helper.make_function("own", f"f{level}", ["a"], ["b"], nodes, opsets))
    message = refusal(load, saved(tmp_path / "m.onnx", made))
    assert "its functions expand to 1,099,511,627,776 operators" in message


def test_a_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    made = model([helper.make_node("f", ["x"], ["y"], domain="own")])
    made.opset_import.append(helper.make_opsetid("own", 1))
    opsets = [helper.make_opsetid("own", 1)]
    nodes = [helper.make_node("f", ["a"], ["b"], domain="own")]
    made.functions.append(helper.make_function("own", "f", ["a"], ["b"], nodes, opsets))
    assert "the function f calls itself" in refusal(load, saved(tmp_path / "m.onnx", made))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (model([op("Relu", "z", "y"), op("Relu", "y", "z")]), "topologically sorted"),
        (model([op("Relu", "x", "y"), op("Abs", "x", "y")]), "single static assignment"),
        (model([op("Add", "x w")], {"w": np.array([1, np.nan, 1, 1], np.float32)}), "NaN or infinity"),
        (model([op("Relu")], shape=("n", 1 << 40)), "a sample has fewer than 2,147,483,648 elements"),
        (model([op("Relu")], opset=999), "operator set 999"),
    ],
    ids=["cycle", "duplicate", "nan", "shape", "newer"],
)
def test_a_broken_model_says_what_is_wrong(tmp_path: Path, made: Any, message: str) -> None:
    assert message in refusal(load, saved(tmp_path / "m.onnx", made))


def test_protobuf_nested_without_end_is_no_model(tmp_path: Path) -> None:
    data = b""
    for _ in range(300):  # graph { node { attribute { g { … } } } }
        data = b"\x32" + _length(data)
        data = b"\x2a" + _length(data)
        data = b"\x0a" + _length(data)
    (tmp_path / "m.onnx").write_bytes(b"\x3a" + _length(data))
    assert "not an ONNX model" in refusal(load, tmp_path / "m.onnx")


def _length(data: bytes) -> bytes:
    out, n = bytearray(), len(data)
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes((*out, n)) + data


def test_a_graph_with_an_absurd_value_is_illegal() -> None:
    build = GraphBuilder("absurd")
    with pytest.raises(IllegalGraph, match="fewer than 2,147,483,648 elements"):
        build.graph(build.op("relu", [build.input("x", (1 << 20, 1 << 20))]))
