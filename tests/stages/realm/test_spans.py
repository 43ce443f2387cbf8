"""Which sentences and spans the rules find."""

from stages.realm.spans import salient_spans, sentences


def found(sentence: str) -> list[tuple[str, str]]:
    return [(sentence[span.begin : span.end], span.kind) for span in salient_spans(sentence)]


def test_spans_are_dates_numbers_with_units_and_names_inside_a_sentence():
    cases = {
        "On the 21st of June 1889 he left, and in May 1890 he died.": [
            ("21st of June 1889", "date"),
            ("May 1890", "date"),
        ],
        "The year 1528 was cold.": [("1528", "date")],
        "She waited twenty-four hours for 3,000 francs and $25 more.": [
            ("twenty-four hours", "number"),
            ("3,000 francs", "number"),
            ("$25", "number"),
        ],
        "Now Miss Matty Jenkyns met Mr. Elton of Highbury.": [
            ("Miss Matty Jenkyns", "name"),
            ("Mr. Elton", "name"),
            ("Highbury", "name"),
        ],
        "Emma said that he was ten and had 12 apples.": [],
        '"Oh, what a pity!" said he. "Dear me, I think so."': [],
    }
    for sentence, spans in cases.items():
        assert found(sentence) == spans, sentence


def test_a_name_inside_a_date_is_no_span_of_its_own():
    assert found("It was in March 1801 or later.") == [("March 1801", "date")]


def test_sentences_end_at_stops_and_paragraphs_but_not_after_titles_and_initials():
    text = (
        "Too short. I saw Mr. Smith and J. Brown go down the road. Was it he who called \nso loudly? "
        " \u201cIt was not,\u201d said the old man to me.\n\nCHAPTER II\n\nA line without any stop at the end"
        " of it\n\nso that this one is by itself."
    )
    assert [text[begin:end].strip() for begin, end in sentences(text)] == [
        "I saw Mr. Smith and J. Brown go down the road.",
        "Was it he who called \nso loudly?",
        "\u201cIt was not,\u201d said the old man to me.",
        "A line without any stop at the end of it",
        "so that this one is by itself.",
    ]
