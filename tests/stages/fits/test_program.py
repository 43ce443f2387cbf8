"""Whether a program fits follows from its bytes, or from the words in which the compiler refuses it."""

import pytest

from stages.fits.program import Program, verdict

GIB = 2**30


def program(peak: float, state: float = 2, mesh: tuple[int, int] = (1, 1), refused: str = "") -> Program:
    return Program(
        mesh[0] * mesh[1], "TPU", mesh, False, int(state * GIB), 1.0, int(peak * GIB), refused=refused
    )


def test_a_program_within_the_memory_fits_and_so_do_as_many_sequences_as_there_is_room():
    found = verdict(program(peak=5), 16 * GIB, rows=1)
    assert (found.fits, found.needed_bytes, found.rows) == (True, 5 * GIB, 4)  # 2 + 4 * 3 <= 16


def test_the_batch_is_what_all_groups_of_devices_take():
    # 14 / 3 of 16 are 74, of which 8 groups take 9 each
    assert verdict(program(peak=5, mesh=(8, 4)), 16 * GIB, rows=16).rows == 72


def test_the_code_of_a_program_lies_in_the_same_memory():
    large = Program(1, "TPU", (1, 1), False, 2 * GIB, 1.0, 15 * GIB, code_bytes=2 * GIB)
    assert not verdict(large, 16 * GIB, rows=1).fits


@pytest.mark.parametrize(
    ("refused", "needed"),
    [
        (
            (
                "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries"
                " (640.00G) exceeds available HBM (15.75G)."
            ),
            642 * GIB,
        ),
        (
            (
                "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 22.60G of 15.75G hbm."
                " Exceeded by 6.85G."
            ),
            22.6 * GIB,
        ),
    ],
)
def test_what_the_compiler_refuses_does_not_fit_and_its_figures_are_read(refused, needed):
    found = verdict(program(peak=0, refused=refused), 16 * GIB, rows=8)
    assert not found.fits
    assert found.needed_bytes == round(needed)
    assert found.rows == int(14 * GIB * 8 // (needed - 2 * GIB))


def test_a_refusal_without_figures_leaves_them_open():
    found = verdict(program(peak=0, refused="RESOURCE_EXHAUSTED: no room"), 16 * GIB, rows=1)
    assert (found.fits, found.needed_bytes, found.rows) == (False, None, None)


def test_nothing_fits_where_the_state_alone_is_too_large():
    assert verdict(program(peak=30, state=20), 16 * GIB, rows=4).rows == 0
