"""Peaks of memory, on this process."""

from benchmarks.peaks import forget, peak

MB = 1 << 20


def test_a_peak_is_of_the_time_since_it_was_forgotten() -> None:
    block = bytearray(b"x") * (200 * MB)
    before = peak()
    del block
    forget()
    after = peak()
    assert before - after > 150 * MB
    block = bytearray(b"x") * (100 * MB)
    assert 50 * MB < peak() - after < 150 * MB
    del block


def test_a_process_that_is_not_there_has_no_peak() -> None:
    forget("no such process")
    assert peak("no such process") == 0
