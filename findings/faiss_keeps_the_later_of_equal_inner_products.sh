#!/bin/sh
# faiss-cpu 1.15.1, seen 2026-11-29 on Linux x86-64.
#
# A good guess: of vectors with equal scores an exact index returns those of lowest number, lowest first, as `jax.lax.top_k` and a stable
# sort do.
#
# Seen: IndexFlatIP returns equal scores in descending order of their numbers, and where a tie reaches over the last place it can keep the
# later vector: of scores 1, 1, 2 the best two are numbers 2 and 1, not 2 and 0. Text has many equal chunks (blank lines, licences), so a
# search with Faiss at test and a top_k in training read different ones. What repairs it: ask for more until the last score is worse than
# the k-th, then sort by score and number.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check faiss-cpu==1.15.1 numpy==2.4.6
"$place/venv/bin/python" - <<'EOF'
import faiss
import numpy as np

faiss.omp_set_num_threads(1)


def best(scores: list[int], k: int) -> list[int]:
    index = faiss.IndexFlatIP(1)
    index.add(np.array(scores, np.float32)[:, None])
    return index.search(np.ones((1, 1), np.float32), k)[1][0].tolist()


order, kept = best([1, 1, 1, 1], 3), best([1, 1, 2], 2)
print(f"faiss {faiss.__version__}: three of four equal scores {order}; the best two of 1, 1, 2: {kept}")
assert order == [2, 1, 0], "equal scores come in another order now"
assert kept == [2, 1], "another of the tied is kept now"
EOF
