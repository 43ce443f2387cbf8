#!/bin/sh
# dvc 3.67.1, seen 2026-11-30 on Linux x86-64.
#
# A good guess: dvc.lock, the record of what every stage made of what, is written beside itself and renamed into place, as DVC does with the
# files of its cache and as other tools do with their lock files. Then a reader sees the old one or the new one, and a kill leaves either.
#
# Seen: `dvc repro` opens the file that is there, empties it and writes it anew. The inode stays, and a hard link made as a copy before the
# run has the new content after it. So whoever reads while a large pipeline is recorded sees half of it, a process that is killed then leaves
# half, and a "backup" by hard link is none. By its source .dvc/tmp/rwlock, the list of readers and writers, is written in the same way.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check dvc==3.67.1
mkdir "$place/project"
cd "$place/project"
export DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$place/site" PATH="$place/venv/bin:$PATH"
dvc init --quiet --no-scm
printf 'k: 1\n' > params.yaml
printf 'stages:\n  count:\n    cmd: cp params.yaml out.txt\n    params: [k]\n    outs: [out.txt]\n' > dvc.yaml
dvc repro --quiet
ln dvc.lock kept
before=$(stat -c %i dvc.lock)
printf 'k: 2\n' > params.yaml
dvc repro --quiet
after=$(stat -c %i dvc.lock)
echo "dvc $(dvc --version): inode of dvc.lock before $before and after $after; k in the hard link made before: $(grep -o 'k: .' kept)"
[ "$before" = "$after" ] || { echo "dvc.lock is another file now" >&2; exit 1; }
grep -q 'k: 2' kept || { echo "the hard link kept the old content" >&2; exit 1; }
