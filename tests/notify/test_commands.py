"""Who may command, with which code, how often wrong: judged without a socket."""

from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trader.adapters.one_time import OneTime, enrolment, new_secret
from trader.notify.commands import CHANGES, Asked, Denied, Guard, Said, Stranger
from trader.notify_place import CODER

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NOW = datetime(2024, 3, 1, 12, 0, 10, tzinfo=UTC)
ME = 42


def guard(**more):
    return Guard(frozenset({ME}), OneTime(SECRET).matches, "telegram-9", **more)


def code(at=NOW, step=0):
    return pyotp.TOTP(SECRET).at(at, counter_offset=step)


def said(text, number=1, *, user=ME, at=NOW, private=True):
    return Said(number, user, user, at, text, private)


def test_codes_are_those_of_the_standard():
    plain = OneTime(
        "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    )  # the secret of RFC 6238's table, whose codes have two digits more
    for seconds, wanted in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        assert plain.matches(wanted, seconds // 30)
        assert not plain.matches(wanted, seconds // 30 + 1)


@pytest.mark.parametrize("bad", ["", "short", "JBSWY3DP", "11111111111111111111111111111111", "ünicode"])
def test_a_secret_that_is_none_is_refused_and_not_shown(bad):
    with pytest.raises(ValueError, match="base32") as caught:
        OneTime(bad)
    assert not bad or bad not in str(caught.value)


def test_a_new_secret_can_be_enrolled():
    secret = new_secret()
    OneTime(secret)
    assert enrolment(secret, "run") == f"otpauth://totp/signal-trader:run?secret={secret}&issuer=signal-trader"


def test_reading_and_halting_need_no_code():
    for text, name in (
        ("/status", "status"),
        ("/why mine/1", "why"),
        ("/STATUS@my_bot", "status"),
        ("/halt lunch", "halt"),
    ):
        assert guard().judge(said(text), NOW).name == name
    assert guard().judge(said("/halt back at two"), NOW).argument == "back at two"
    assert isinstance(guard(halt_needs_code=True).judge(said("/halt"), NOW), Denied)
    assert isinstance(guard(halt_needs_code=True).judge(said(f"/halt {code()}"), NOW), Asked)


@pytest.mark.parametrize("name", ["resume", "flatten", "kill"])
def test_what_trades_needs_a_code(name):
    assert isinstance(guard().judge(said(f"/{name}"), NOW), Denied)
    assert isinstance(guard().judge(said(f"/{name} 000000"), NOW), Denied)
    assert guard().judge(said(f"/{name} {code()}"), NOW) == Asked(name, "", "telegram-9-1")


def test_a_code_counts_once_for_every_command_and_every_message():
    one = guard()
    assert isinstance(one.judge(said(f"/resume {code()}", 1), NOW), Asked)
    for number, name in ((2, "resume"), (3, "flatten"), (4, "kill")):
        assert isinstance(one.judge(said(f"/{name} {code()}", number), NOW), Denied)


def test_a_message_that_comes_again_is_the_same_command_also_in_another_process():
    one, again = guard(), guard()
    first = one.judge(said(f"/flatten {code()}"), NOW)
    CODER.restore(CODER.capture({"guard": one}), {"guard": again})
    assert again.judge(said(f"/flatten {code()}"), NOW) == first
    assert isinstance(again.judge(said(f"/flatten {code()}", 2), NOW), Denied)


def test_the_window_is_one_step_to_each_side_and_never_goes_back():
    for step, is_right in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        assert isinstance(guard().judge(said(f"/resume {code(step=step)}"), NOW), Asked) is is_right
    one = guard()
    one.judge(said(f"/resume {code()}", 1), NOW)
    assert isinstance(one.judge(said(f"/resume {code(step=-1)}", 2), NOW), Denied), "older than one that counted"


def test_wrong_codes_close_the_door_for_longer_and_longer_and_also_to_the_right_one():
    one, now = guard(), NOW
    for number in range(3):
        assert one.judge(said("/kill 000000", number, at=now), now).is_wrong
    assert not one.judge(said(f"/kill {code(now)}", 4, at=now), now).is_wrong
    assert isinstance(one.judge(said(f"/kill {code(now)}", 4, at=now), now), Denied)
    assert isinstance(one.judge(said("/halt", 5, at=now), now), Asked), "stopping stays possible"
    now += timedelta(seconds=60)
    assert one.judge(said("/kill 000000", 6, at=now), now).is_wrong
    now += timedelta(seconds=119)
    assert isinstance(one.judge(said(f"/kill {code(now)}", 7, at=now), now), Denied)
    now += timedelta(seconds=1)
    assert isinstance(one.judge(said(f"/kill {code(now)}", 8, at=now), now), Asked)


def test_a_closed_door_stays_closed_over_a_restart():
    one, again = guard(), guard()
    for number in range(3):
        one.judge(said("/kill 000000", number), NOW)
    CODER.restore(CODER.capture({"guard": one}), {"guard": again})
    assert isinstance(again.judge(said(f"/kill {code()}", 4), NOW), Denied)


def test_strangers_and_rooms_with_others_get_no_answer():
    assert guard().judge(said("/status", user=7), NOW) == Stranger(7)
    assert guard().judge(said(f"/kill {code()}", user=7), NOW) == Stranger(7)
    assert guard().judge(said("/status", private=False), NOW) == Stranger(ME)


def test_a_change_that_comes_late_is_not_carried_out():
    for text in ("/halt", f"/flatten {code(NOW)}"):
        assert "too long ago" in guard().judge(said(text, at=NOW - timedelta(minutes=3)), NOW).answer


def test_two_minutes_are_fresh_in_both_directions_and_a_second_more_is_not():
    for seconds, is_fresh in ((120, True), (121, False), (-120, True), (-121, False)):
        found = guard().judge(said("/halt", at=NOW - timedelta(seconds=seconds)), NOW)
        assert isinstance(found, Asked) is is_fresh, seconds


@pytest.mark.parametrize("words", ["１２３４５６", "abcdef", "1234567", "12345", "lunch at noon"])
def test_what_is_no_code_of_six_digits_is_a_reason(words):
    assert guard().judge(said(f"/halt {words}"), NOW).argument == words


def test_the_commands_are_those_of_the_help_and_begin_with_a_slash():
    for name in ("status", "holdings", "orders", "equity", "why", "help", "halt"):
        assert guard().judge(said(f"/{name}"), NOW) == Asked(name, "", "telegram-9-1")
    for text in ("halt", "xhalt", "", "  ", "/", "/stop"):
        assert guard().judge(said(text), NOW).answer.startswith("there is no such command")


def test_the_last_hundred_commands_are_remembered():
    one = guard(accepted=dict.fromkeys(range(1000, 1150), "key"))
    assert (guard().spent, guard().tries, guard().accepted) == (0, {}, {})
    one.judge(said(f"/resume {code()}", 7), NOW)
    assert list(one.accepted) == [*range(1_051, 1_150), 7]


def test_the_third_wrong_code_closes_the_door_for_a_minute_to_the_second():
    one = guard()
    for number, left in ((1, True), (2, True), (3, True), (4, False)):
        assert one.judge(said("/kill 000000", number), NOW).is_wrong is left
    for seconds, is_open in ((59, False), (60, True)):
        now = NOW + timedelta(seconds=seconds)
        assert isinstance(one.judge(said(f"/kill {code(now)}", 9, at=now), now), Asked) is is_open
    assert one.tries[ME].wrong == 0, "a right code makes good for the wrong ones"


def test_a_door_is_closed_for_an_hour_at_most():
    one, now = guard(), NOW
    for number in range(12):
        one.judge(said("/kill 000000", number, at=now), now)
        wait = one.tries[ME].closed - now if one.tries[ME].closed else timedelta(0)
        assert wait == timedelta(minutes=min(2 ** (number - 2), 60)) if number >= 2 else wait == timedelta(0)
        now += wait


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(CHANGES[1:]), st.integers(0, 3), st.integers(-3, 3), st.integers(0, 40)), max_size=30
    )
)
def test_no_code_is_ever_accepted_twice(messages):
    one, now, accepted = guard(), NOW, []
    for number, (name, _, step, seconds) in enumerate(messages):
        now += timedelta(seconds=seconds)
        given_code = code(now, step)
        if isinstance(one.judge(said(f"/{name} {given_code}", number, at=now), now), Asked):
            accepted.append(int(now.timestamp()) // 30 + step)
    assert accepted == sorted(set(accepted))


@given(st.text(max_size=200))
def test_no_text_of_a_user_without_a_code_changes_more_than_a_halt(text):
    verdict = guard().judge(said(text), NOW)
    assert isinstance(verdict, Denied) or verdict.name not in {"resume", "flatten", "kill"}
