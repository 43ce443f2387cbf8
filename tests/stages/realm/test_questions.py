"""Passages, questions about them and sentences taken out of them: what each row says, what is held out, what
is trivial.
"""

import numpy as np
import pytest

from data_contracts.failure import Exit, Failure
from stages.realm.batches import Data, orders
from stages.realm.corpus import RealmCorpus, read_corpus
from stages.realm.layout import plain
from stages.realm.questions import HELD_OUT
from stages.realm.reader_start import passages_with_answers
from stages.realm.warm_start import make_cloze
from tests.stages.realm.conftest import GEOMETRY, write_corpus
from tests.stages.realm.tales import TALES
from tests.tiny import tiny_realm_start


@pytest.fixture(scope="module")
def corpus(started) -> RealmCorpus:
    return read_corpus(started, GEOMETRY, tiny_realm_start())


def words(corpus: RealmCorpus, row: np.ndarray) -> str:
    return corpus.tokenizer.decode(row[row < corpus.layout.pad].tolist(), skip_special_tokens=False)


def test_passages_and_held_out_ones_are_the_train_documents(corpus):
    assert ["".join(document.texts) for document in corpus.documents] == list(TALES.values())
    numbers = np.concatenate([document.numbers for document in corpus.documents])
    kept = numbers[numbers >= 0]
    assert kept.tolist() == list(range(len(corpus.passages.plain)))
    assert corpus.passages.held_out == (numbers < 0).sum() > 0
    assert corpus.passages.cut == 0
    for document in corpus.documents:
        for place, (text, number) in enumerate(zip(document.texts, document.numbers, strict=True)):
            if number >= 0:
                assert corpus.passages.plain[number] == plain(text)
                assert words(corpus, corpus.passages.rows_XT[number]) == plain(text)
                assert corpus.passages.first_chunks[number] == place
                assert corpus.passages.doc_ids[number] == document.doc_id


def test_no_more_passages_than_asked_for_and_none_of_other_splits(tmp_path):
    write_corpus(tmp_path, TALES, {"tale0": "test"})
    few = read_corpus(tmp_path, GEOMETRY, tiny_realm_start(passages=40, held_out=0.3))
    assert len(few.passages.plain) == 40
    assert [document.doc_id for document in few.documents] == ["tale1", "tale2"]
    whole = read_corpus(tmp_path, GEOMETRY, tiny_realm_start(passage_chunks=2))
    assert len(whole.passages.plain) + whole.passages.held_out == sum(
        len(document.texts) for document in whole.documents
    )
    assert whole.layout.passage == 64 + 8 + 2


def test_a_question_hides_its_span_and_nothing_else(corpus):
    for part in (corpus.questions.train, corpus.questions.held_out):
        for number, (sentence, answer) in enumerate(zip(part.sentences, part.answers, strict=True)):
            row, count = part.rows_QT[number].copy(), int(part.weights_QA[number].sum())
            assert (row == corpus.layout.mask).sum() == count
            places = part.places_QA[number, :count]
            assert (row[places] == corpus.layout.mask).all()
            hidden = part.answers_QA[number, :count]
            assert corpus.tokenizer.decode(hidden.tolist()) == answer
            row[places] = hidden
            assert words(corpus, row) == sentence


def test_a_training_question_knows_the_passages_that_hold_it_and_a_held_out_one_has_none(corpus):
    train = corpus.questions.train
    for sentence, (first, last) in zip(train.sentences, train.own_Q2.tolist(), strict=True):
        assert (
            sentence.strip() in "".join(corpus.passages.plain[first : last + 1]).replace("  ", " ")
            or first < last
        )
        assert sentence.split()[0] in corpus.passages.plain[first]
    assert (corpus.questions.held_out.own_Q2 == HELD_OUT).all()
    assert corpus.questions.left_out["partly held out"] > 0


def test_own_and_repeating_passages_are_trivial(corpus):
    data = Data(corpus.questions.train, corpus.passages, corpus.layout)
    rows = np.arange(len(data.questions.answers))
    for query in rows[::7].tolist():
        first, last = data.questions.own_Q2[query]
        sentence = data.questions.sentences[query]
        for passage, text in enumerate(data.passages.plain):
            assert data.trivial(rows, query, passage) == (first <= passage <= last or sentence in text)


def test_the_reader_begins_with_passages_that_say_the_answer(corpus):
    data = Data(corpus.questions.train, corpus.passages, corpus.layout)
    saying, with_answer = passages_with_answers(data)
    assert with_answer > 0.9 * len(saying)
    rows = np.arange(len(saying))
    for query, passages in enumerate(saying):
        for passage in passages.tolist():
            assert data.passages.doc_ids[passage] == data.questions.doc_ids[query]
            assert not data.trivial(rows, query, passage)
    assert (
        np.mean(
            [
                data.questions.answers[query] in data.passages.plain[found[0]]
                for query, found in enumerate(saying)
            ]
        )
        > 0.9
    )


def test_a_sentence_is_taken_out_of_its_passage_in_nine_of_ten_examples(corpus):
    cloze = make_cloze(corpus.documents, corpus.tokenizer, corpus.layout, seed=0)
    inside = 0
    for sentence, passage, name in zip(*cloze, strict=True):
        taken, left = words(corpus, sentence), words(corpus, passage)
        whole = corpus.passages.plain[name]
        assert taken in whole
        inside += left == whole
        assert left in (whole, plain(whole.replace(taken, " ", 1)))
    assert 0.02 < inside / len(cloze.names_C) < 0.25


def test_the_reader_is_given_query_and_passage_without_a_gap(corpus):
    data, layout = Data(corpus.questions.train, corpus.passages, corpus.layout), corpus.layout
    batch = data.batch(np.array([0, 3]), np.array([[5, 1], [2, 0]]))
    for row, query in enumerate((0, 3)):
        text = data.questions.rows_QT[query]
        text = text[text != layout.pad]
        for place, passage in enumerate(
            ([], *(data.passages.rows_XT[number] for number in ((5, 1), (2, 0))[row]))
        ):
            behind = [token for token in passage if token != layout.pad][1:] if place else [layout.between]
            read, types = np.asarray(batch.read_BNR[row, place]), np.asarray(batch.types_BNR[row, place])
            assert read[: len(text) + len(behind)].tolist() == [*text, *behind]
            assert (read[len(text) + len(behind) :] == layout.pad).all()
            assert types.tolist() == [0] * len(text) + [1] * len(behind) + [0] * (
                layout.read - len(text) - len(behind)
            )
    assert np.asarray(batch.passages_BNT[0, 0]).tolist()[:3] == [layout.first, layout.between, layout.pad]


def test_each_question_is_asked_once_an_epoch():
    rows = list(orders(9, 4, 4, seed=0))
    assert all(len(np.unique(np.concatenate(epoch))) == 8 for epoch in (rows[:2], rows[2:]))
    assert not np.array_equal(rows[0], rows[2])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"candidates": 500}, "lower realm_start.candidates"),
        ({"query_tokens": 8}, "raise realm_start.query_tokens"),
    ],
)
def test_a_corpus_that_is_too_small_is_refused(changes, said, started):
    with pytest.raises(Failure, match=said) as failure:
        read_corpus(started, GEOMETRY, tiny_realm_start(**changes))
    assert failure.value.code == Exit.USAGE
