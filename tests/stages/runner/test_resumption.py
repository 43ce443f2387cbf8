"""What an interrupted job finds again, and what it says of where that was computed."""

from stages.runner import resumption
from stages.runner.resumption import COMPUTED_ON, finished_shards, note_devices


def test_whole_shards_are_found_and_half_ones_removed(tmp_path):
    for name in ("part-00000.parquet", ".part-00001.parquet.77.tmp", "manifest.json"):
        (tmp_path / name).touch()
    assert finished_shards(tmp_path) == {"part-00000.parquet"}
    assert {path.name for path in tmp_path.iterdir()} == {"part-00000.parquet", "manifest.json"}


def test_every_other_device_is_said_as_long_as_its_shards_are_there(tmp_path, monkeypatch):
    target, said = tmp_path / "written", list[str]()
    target.mkdir()
    for device in ("8 TPU v4", "1 cpu of 2 cores", "1 cpu of 4 cores", "1 cpu of 2 cores"):
        monkeypatch.setattr(resumption, "computed_on", lambda device=device: device)
        note_devices(target, said.append)
        if device != "8 TPU v4":  # which wrote nothing
            (target / "part-00000.parquet").touch()
    assert [line.partition(" were computed on ")[2].partition(":")[0] for line in said] == [
        "1 cpu of 2 cores, the rest are on 1 cpu of 4 cores",
        "1 cpu of 4 cores, the rest are on 1 cpu of 2 cores",
    ]
    assert (target.parent / COMPUTED_ON).exists()
    assert not (target / COMPUTED_ON).exists()
