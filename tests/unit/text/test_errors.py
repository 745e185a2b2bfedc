"""Foreign text is safe to print."""

from tuner.text.errors import LONGEST, printable


def test_control_codes_are_shown_and_not_obeyed():
    assert printable("a\x1b[2J\nb\t\u202ec") == "a\\x1b[2J b \\u202ec"


def test_a_long_text_keeps_its_beginning_and_its_end():
    text = printable("begin " + "x" * 2 * LONGEST + " end")
    assert text.startswith("begin x")
    assert text.endswith("x end")
    assert len(text) < LONGEST + 10
