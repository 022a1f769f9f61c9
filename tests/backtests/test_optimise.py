"""Optuna proposes: the same seed gives the same points, whoever works and however often it is killed."""

import math
import sqlite3

import numpy as np
import pandas as pd
import pytest

from backtests import Range, Search, explore, replay, sample
from backtests.optimise import Turn
from backtests.search import FIGURES
from backtests.space import Space
from strategies import RatingBand
from tests.services.parts import full

optuna = pytest.importorskip("optuna")
SPACE = Space(
    {
        "enter": Range(50.0, 90.0),
        "leave": Range(10, 49),
        "size": Range(0.01, 0.5, log=True),
        "kind": ["derived_ta", "derived_trader"],
    }
)


@pytest.fixture(scope="module")
def tape():
    return sample("1h")


def found(tape, folder=None, *, runs=24, objectives=("sharpe",), pruning=None, seed=4, workers=1):
    search = Search("optuna", runs, seed, objectives, batch=8, pruning=pruning)
    return explore(RatingBand, SPACE, tape, search=search, folder=folder, workers=workers)


def forget(folder, numbers):
    """What a kill in the middle of a batch leaves: some trials of it are not there."""
    base = sqlite3.connect(folder / "study.sqlite")
    with base:
        base.execute(f"delete from trial where number in ({','.join(map(str, numbers))})")
    base.close()


@pytest.mark.slow
@full
@pytest.mark.parametrize("pruning", [None, "median", "halving"])
def test_a_study_that_lost_its_end_proposes_the_same_again(tape, tmp_path, pruning):
    whole = found(tape, pruning=pruning)
    found(tape, tmp_path / "s", pruning=pruning)
    forget(tmp_path / "s", [11, 13, *range(16, 24)])
    again = found(tape, tmp_path / "s", pruning=pruning)
    assert again.fresh == 10
    pd.testing.assert_frame_equal(again.frame, whole.frame)
    assert again.states == whole.states
    if pruning is not None:
        assert 0 < whole.states.count("pruned") < 24


@pytest.mark.slow
def test_two_workers_propose_what_one_does(tape):
    pd.testing.assert_frame_equal(found(tape).frame, found(tape, workers=2).frame)


@full
@pytest.mark.slow
def test_it_learns(tape):
    one = found(tape, runs=80)
    figure = np.nan_to_num(one.figure(), nan=-1.0)
    assert np.median(figure[48:]) > np.median(figure[:8])
    best = one.best
    assert replay(RatingBand(**one.parameters(best)), tape).stats["sharpe"] == one.frame["sharpe"].iloc[best]


@full
@pytest.mark.slow
def test_with_two_objectives_no_finalist_is_beaten_in_both(tape, tmp_path):
    one = found(tape, tmp_path / "s", objectives=("total_return", "-turnover"))
    front = one.frame.iloc[one.finalists]
    assert 1 <= len(front) < 24
    for gain, churn in zip(front["total_return"], front["turnover"], strict=True):
        assert not ((one.frame["total_return"] > gain) & (one.frame["turnover"] < churn)).any()
    journal = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "s" / "optuna.journal"))
    )
    assert len(optuna.load_study(study_name="sweep", storage=journal).trials) == 24


def test_a_wrong_search_is_named(tape):
    with pytest.raises(ValueError, match=r"'sharp' is no figure of a replay; did you mean sharpe\?"):
        Search("optuna", 2, objectives=("sharp",))
    with pytest.raises(ValueError, match="one objective"):
        Search("optuna", 2, objectives=("sharpe", "calmar"), pruning="median")
    with pytest.raises(ValueError, match="runs"):
        Search("optuna")


def test_every_figure_that_is_a_number_may_be_an_objective(tape):
    stats = replay(RatingBand(60.0, 40.0, kind="derived_ta"), tape).stats
    assert sorted(FIGURES) == sorted(name for name, value in stats.items() if isinstance(value, int | float))


def test_what_has_no_figure_yet_is_given_up_before_what_has_a_bad_one():
    turn = Turn.__new__(Turn)
    turn.search = Search("optuna", 6, pruning="halving")
    figures = {0: math.nan, 1: -1.0, 2: math.nan, 3: 2.0, 4: math.nan, 5: 3.0}
    assert [one for one in figures if turn._is_behind(one, figures, None)] == [0, 2, 4]
