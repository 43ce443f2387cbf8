#!/bin/sh
# gcp-storage-emulator 2026.7.19 with gcsfs 2026.10.1, seen 2026-11-30 on Linux x86-64.
#
# A good guess: an upload on the condition that there is no object of this name, `ifGenerationMatch=0`, which is what gcsfs sends for
# mode="create" and what "create once" rests on, is refused with 412 by an emulator as by Google Cloud Storage, and gcsfs raises
# FileExistsError.
#
# Seen: the emulator takes no notice of the condition. The second upload succeeds without a word and the object has its bytes. So a test that
# holds locks, commits or "first writer wins" against this emulator passes or fails for another reason than the service would give.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check gcp-storage-emulator==2026.7.19 gcsfs==2026.10.1
cd "$place"
NO_GCE_CHECK=true GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false "$place/venv/bin/python" - <<'PYTHON'
import os
from importlib.metadata import version

from gcp_storage_emulator.server import create_server

server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="bucket")
server.start()
os.environ["STORAGE_EMULATOR_HOST"] = "http://127.0.0.1:%d" % server._api._httpd.server_address[1]
from gcsfs import GCSFileSystem

system, second = GCSFileSystem(token="anon"), "succeeded"
system.pipe_file("bucket/once", b"first", mode="create")
try:
    system.pipe_file("bucket/once", b"second", mode="create")
except FileExistsError:
    second = "FileExistsError"
held = system.cat_file("bucket/once")
print(f"gcp-storage-emulator {version('gcp-storage-emulator')}, gcsfs {version('gcsfs')}: second create {second}, the object holds {held!r}")
os._exit(0 if (second, held) == ("succeeded", b"second") else 1)
PYTHON
