"""Getting data sets by name, without a network: a fetcher that copies, and pooch with a server of the test's own."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import socket
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from interplay.envs.data import data_sets, downloads, find_log, read_log
from interplay.envs.data.download import Download, obtain
from interplay.envs.data.movielens_1m import MovieLens1M
from refusals import refused

RATINGS = "1::9::5::978300760\n2::1::3::978302109\n"
URL = "https://data.example/ml-1m.zip"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own; and whoever asks the network for something fails."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: tuple[str, int]) -> None:
        assert address[0] == "127.0.0.1", f"a test asked {address[0]}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("INTERPLAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "published" / "ml-1m.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("ml-1m/ratings.dat", RATINGS)
    return path


def sha256(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def no_fetcher(url: str, known_hash: str | None, path: Path) -> None:
    raise AssertionError(f"{url} need not be downloaded")


class TestObtain:
    def test_downloads_once_and_says_the_hash(self, archive: Path, cache: Path) -> None:
        asked, said = [], []

        def fetcher(url: str, known_hash: str | None, path: Path) -> None:
            asked.append((url, known_hash))
            shutil.copy(archive, path)

        download = Download("ml-1m", URL)
        folder = obtain("movielens-1m", download, fetcher=fetcher, say=said.append)
        assert folder == cache / "ml-1m"
        assert len(read_log(folder)) == 2
        assert asked == [(URL, None)]
        assert said == [f"movielens-1m: downloaded ml-1m.zip, {sha256(archive)}; no hash is known that it could have "
                        "been checked against"]
        assert obtain("movielens-1m", download, fetcher=no_fetcher, say=said.append) == folder
        assert len(said) == 1
        assert sorted(file.name for file in cache.iterdir()) == ["ml-1m", "ml-1m.zip"]  # nothing half unpacked

    def test_a_folder_that_is_there_is_taken(self, tmp_path: Path, cache: Path) -> None:
        (tmp_path / "data" / "ml-1m").mkdir(parents=True)
        found = obtain("movielens-1m", Download("ml-1m", URL), tmp_path / "data", fetcher=no_fetcher)
        assert found == tmp_path / "data" / "ml-1m"
        assert not cache.exists()

    def test_an_archive_that_is_there_is_checked_and_unpacked_into_the_cache(self, archive: Path, cache: Path) -> None:
        download = Download("ml-1m", URL, sha256(archive))
        assert obtain("movielens-1m", download, archive.parent, fetcher=no_fetcher) == cache / "ml-1m"
        assert [file.name for file in archive.parent.iterdir()] == ["ml-1m.zip"]  # a read-only folder would do
        wrong = Download("ml-1m", URL, "md5:" + 32 * "0")
        shutil.rmtree(cache)
        with refused("ml-1m.zip", "md5", 32 * "0"):
            obtain("movielens-1m", wrong, archive.parent, fetcher=no_fetcher)

    def test_an_archive_whose_files_lie_at_its_top(self, archive: Path, cache: Path) -> None:
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("ratings.dat", RATINGS)
            packed.writestr("more/notes.txt", "x")
        assert obtain("m", Download("ml-1m", URL), archive.parent) == cache / "ml-1m"
        assert sorted(file.name for file in (cache / "ml-1m").iterdir()) == ["more", "ratings.dat"]

    def test_a_tar_writes_nothing_elsewhere(self, tmp_path: Path, cache: Path) -> None:
        evil = tmp_path / "evil.txt"
        evil.write_text("x")
        with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as packed:
            packed.add(evil, "set/ratings.dat")
        download = Download("set", "https://data.example/set.tar.gz")
        assert [file.name for file in obtain("s", download, tmp_path).iterdir()] == ["ratings.dat"]
        shutil.rmtree(cache)
        with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as packed:
            packed.add(evil, "../outside.txt")
        with refused("set.tar.gz"):
            obtain("s", download, tmp_path)
        assert not (tmp_path / "outside.txt").exists()
        assert list(cache.iterdir()) == []

    def test_a_link_in_a_tar_is_refused(self, tmp_path: Path, cache: Path) -> None:
        link = tarfile.TarInfo("set/ratings.dat")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "elsewhere.txt")
        with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as packed:
            packed.addfile(link)
        with refused("set.tar.gz", "set/ratings.dat"):
            obtain("s", Download("set", "https://data.example/set.tar.gz"), tmp_path)
        assert list(cache.iterdir()) == []

    def test_a_damaged_archive_leaves_no_folder(self, archive: Path, cache: Path) -> None:
        archive.write_bytes(archive.read_bytes()[:40])
        with refused("ml-1m.zip"):
            obtain("m", Download("ml-1m", URL), archive.parent)
        assert list(cache.iterdir()) == []

    def test_offline_it_says_which_file_to_put_where(self, tmp_path: Path, cache: Path) -> None:
        def offline(url: str, known_hash: str | None, path: Path) -> None:
            raise OSError("Name or service not known\nat all")

        download = Download("coat", "https://data.example/coat.zip", files="train.ascii and test.ascii")
        named = ("coat", download.url, "Name or service not known")
        with refused(*named, fix=("coat.zip", "train.ascii", "test.ascii", cache, "--data-dir")):
            obtain("coat", download, fetcher=offline)
        with refused(*named, fix=("coat.zip", "train.ascii", "test.ascii", tmp_path)):
            obtain("coat", download, tmp_path, fetcher=offline)

    def test_what_cannot_be_downloaded_says_so(self, cache: Path) -> None:
        with refused("jester", fix="jester.zip"):
            find_log("jester")


@pytest.mark.skipif(importlib.util.find_spec("pooch") is None, reason="pooch is not installed")
class TestPooch:
    @pytest.fixture
    def url(self, archive: Path) -> Iterator[str]:
        """Of the folder with the archive, served on this machine alone."""
        handler = partial(SimpleHTTPRequestHandler, directory=str(archive.parent))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = Thread(target=server.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()

    def test_what_is_served_is_unpacked(self, archive: Path, cache: Path, url: str,
                                        capsys: pytest.CaptureFixture[str]) -> None:
        said: list[str] = []
        download = Download("ml-1m", f"{url}/ml-1m.zip", sha256(archive))
        assert obtain("movielens-1m", download, say=said.append) == cache / "ml-1m"
        assert said == [f"movielens-1m: downloaded ml-1m.zip, {sha256(archive)}"]
        assert "100%" in capsys.readouterr().err  # the progress bar

    def test_another_hash_is_refused(self, cache: Path, url: str) -> None:
        download = Download("ml-1m", f"{url}/ml-1m.zip", "md5:" + 32 * "0")
        with refused("movielens-1m", download.url, "hash", fix="ml-1m.zip"):
            obtain("movielens-1m", download)
        assert not list(cache.glob("ml-1m*"))

    def test_a_file_that_is_not_there(self, url: str) -> None:
        with refused(f"{url}/none.zip", 404, fix="none.zip"):
            obtain("m", Download("none", f"{url}/none.zip"))

    def test_a_server_that_is_not_there(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # but not listening
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/none.zip"
            with refused(url, fix="none.zip"):
                obtain("m", Download("none", url))


def test_without_pooch_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)  # what makes an import fail
    with refused("pooch"):
        obtain("movielens-1m", Download("ml-1m", URL))


class TestFindLog:
    def test_paths_stay_and_names_are_found(self, archive: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert find_log(archive) == archive
        monkeypatch.setattr(MovieLens1M, "downloads", {"movielens-1m": Download("ml-1m", URL, sha256(archive))})
        folder = find_log("movielens-1m", archive.parent)
        assert (folder, len(read_log(folder))) == (cache / "ml-1m", 2)

    def test_a_wrong_name_lists_those_that_there_are(self) -> None:
        with refused("movielens-2m", fix="movielens-10m"):
            find_log("movielens-2m")

    def test_every_public_data_set_has_a_name(self) -> None:
        assert {"coat", "jester", "lastfm", "kuairec", "kuairand-pure", "movielens-100k", "movielens-1m",
                "movielens-25m", "movielens-32m"} <= set(downloads())
        assert all(kind.downloads for name, kind in data_sets().items() if name not in ("table", "market-log"))
