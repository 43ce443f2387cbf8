import pytest

from model.schedules import TrainingSchedule, learning_rate, margin, own_probability, ranking_weight


def test_margin_rises_linearly_from_one() -> None:
    assert [margin(f, 5.0) for f in (0.0, 0.25, 1.0, 1.5)] == [1.0, 2.0, 5.0, 5.0]


def test_ranking_weight_ramps_up_and_stays() -> None:
    assert [ranking_weight(f, 1e-2, 0.2) for f in (0.0, 0.1, 0.2, 1.0)] == pytest.approx(
        [0.0, 5e-3, 1e-2, 1e-2]
    )
    assert ranking_weight(0.0, 1e-2, 0.0) == 1e-2


def test_own_probability_is_a_half_cosine() -> None:
    assert [own_probability(f, 0.8) for f in (0.0, 0.2, 0.4, 0.8, 1.0)] == pytest.approx(
        [0.0, 0.1464466, 0.5, 1.0, 1.0]
    )
    assert own_probability(0.0, 0.0) == 1.0


def test_a_step_is_a_fraction_of_the_run() -> None:
    schedule = TrainingSchedule(tau_max=3.0, alpha=1e-2, alpha_ramp=0.5, sampling_end=0.5)
    assert schedule.at(25, 100) == pytest.approx((1.5, 5e-3, 0.5))
    assert schedule.at(250, 1000) == schedule.at(25, 100)


def test_learning_rate_warms_up_and_falls_to_a_tenth() -> None:
    rate = learning_rate(2.0, total_steps=100, warm_up=0.1)
    assert [float(rate(step)) for step in (0, 4, 9, 55, 100)] == pytest.approx([0.2, 1.0, 2.0, 1.1, 0.2])
