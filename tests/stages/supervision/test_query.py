import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.sequences import SUPERVISION
from data_contracts.tokens import TOKENS, list_column, list_rows
from stages.mining.mining import mine
from stages.parameters import Packing
from stages.supervision.lexical import lexical_supervision
from stages.supervision.packing import pack
from stages.supervision.query import query_supervision


def test_training_asks_as_the_test_does(make_chunks, geometry, mining):
    """The query c_i of a training sequence finds what it would find in a test document that is this
    sequence.
    """
    ids = np.random.default_rng(4).integers(1, 30, 8 * 16)
    sequences = pack(
        TOKENS.table(
            {"doc_id": ["d"], "split": ["train"], "token_ids": list_column([ids.astype(np.uint32)])},
            tokenizer="t",
        ),
        geometry,
    )
    found = query_supervision(
        sequences, make_chunks({"d": ("train", ids)}), geometry, mining, Packing(lexical_candidates=4)
    )
    SUPERVISION.validate(found, "a table")
    tested = pa.concat_tables(mine(make_chunks({"d": ("test", ids)}), geometry, mining))
    first = tested.filter(
        pc.and_(pc.equal(tested.column("query_form"), "q"), pc.less(tested.column("rank"), 4))
    )
    candidates = list_rows(found.column("candidates"))[0].reshape(16, 4)
    for query in range(16):
        expected = (
            first.filter(pc.equal(first.column("query_chunk"), query)).column("candidate_chunk").to_pylist()
        )
        assert candidates[query][candidates[query] >= 0].tolist() == expected
    both = pa.concat_tables(mine(make_chunks({"d": ("train", ids)}), geometry, mining))
    other = list_rows(
        lexical_supervision(sequences, both, geometry, Packing(lexical_candidates=4)).column("candidates")
    )[0]
    assert (other.reshape(16, 4) != candidates).any(), "with (c_i, c_i+1) it finds others"
