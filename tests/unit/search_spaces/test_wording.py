"""Values and refusals as text."""

from search_spaces.wording import error_text, list_of, nearest, suggestion


class Mute(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError


def test_values_are_written_as_on_the_command_line():
    assert list_of((True, None, 1.5, "rbf")) == "true, none, 1.5, rbf"


def test_the_nearest_known_word_is_suggested_if_one_is_like_it():
    known = ("itrd", "kd", 16)
    assert suggestion("itdr", known) == "; did you mean 'itrd'?"
    assert suggestion("weight", known) == ";"
    assert nearest("166", known) == "16"


def test_a_very_long_word_is_compared_by_its_beginning():
    assert nearest("itrd" * 10**6, ("itrd" * 25,)) == "itrd" * 25


def test_an_error_is_one_line_even_if_its_text_cannot_be_had():
    assert error_text(ValueError("a\n  b")) == "ValueError: a b"
    assert error_text(Mute()) == "Mute"
