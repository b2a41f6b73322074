"""Finding, downloading and verifying files, against a real HTTP server on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from smidgen.data.source import RemoteFile, data_folder, fetch, find
from smidgen.errors import BadFile, BadInput

CONTENTS = b"forty-two numbers"
SHA256 = hashlib.sha256(CONTENTS).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        del args


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SMIDGEN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "smidgen"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[str]:
    """A server whose root holds `numbers.bin`."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "numbers.bin").write_bytes(CONTENTS)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "www")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_is_downloaded_into_the_cache_once(cache: Path, home: str, tmp_path: Path) -> None:
    remote = RemoteFile("numbers.bin", f"{home}/numbers.bin", SHA256)
    path = fetch(remote)
    (tmp_path / "www" / "numbers.bin").unlink()
    assert path == cache / "numbers.bin"
    assert fetch(remote).read_bytes() == CONTENTS


def test_a_wrong_download_leaves_nothing_behind(cache: Path, home: str) -> None:
    with pytest.raises(BadFile, match="SHA-256"):
        fetch(RemoteFile("numbers.bin", f"{home}/numbers.bin", "0" * 64))
    assert list(cache.iterdir()) == []


def test_a_failed_download_says_what_to_fetch_and_where_to_put_it(cache: Path, home: str) -> None:
    with pytest.raises(BadInput) as caught:
        fetch(RemoteFile("gone.bin", f"{home}/gone.bin", SHA256))
    assert f"{home}/gone.bin" in str(caught.value)
    assert str(cache / "gone.bin") in str(caught.value)
    assert list(cache.iterdir()) == []


def test_the_data_folder_comes_before_the_cache(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir(parents=True)
    (cache / "numbers.bin").write_bytes(b"old")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "numbers.bin").write_bytes(CONTENTS)
    monkeypatch.setenv("SMIDGEN_DATA", str(folder))
    assert find("numbers.bin") == folder / "numbers.bin"


def test_a_local_file_with_other_contents_is_refused(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "numbers.bin").write_bytes(b"tampered")
    with pytest.raises(BadFile, match="Delete the file"):
        fetch(RemoteFile("numbers.bin", "http://127.0.0.1:9/unused", SHA256))


def test_a_data_folder_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(BadInput, match="is not a folder"):
        data_folder()
