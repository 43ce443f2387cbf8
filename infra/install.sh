#!/bin/sh
# install.sh PYTHON LOCK: installs a hash-locked file into the environment of PYTHON, by uv (which is locked itself) or else by pip.
# The lock is complete, so nothing is resolved: pip would look at newer releases of packages that are asked for with extras.
set -eu
python=$1 lock=$2
here=$(cd "$(dirname "$0")/.." && pwd -P)

# uv reads none of pip's settings; the ones that say where packages come from hold for both.
if [ -n "${PIP_INDEX_URL:-}" ]; then export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"; fi
if [ -n "${PIP_FIND_LINKS:-}" ]; then export UV_FIND_LINKS="${UV_FIND_LINKS:-$PIP_FIND_LINKS}"; fi

by_pip() { "$python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$1"; }

PATH=$PATH:$(dirname "$python") # where pip puts uv
if command -v uv >/dev/null 2>&1 || by_pip "$here/requirements-uv.txt"; then
  if uv pip install --quiet --compile-bytecode --python "$python" --no-deps --require-hashes -r "$lock"; then exit 0; fi
  echo "uv could not install $lock; pip tries now ..." >&2
fi
by_pip "$lock"
