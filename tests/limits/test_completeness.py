"""No bound is without a test that stops at it, here or elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.limits import all_bounds

ROOT = Path(__file__).parents[2]

#: Tests of other files that stop at a bound or go past it, and the bounds.
ELSEWHERE = {
    "crates/bus/src/channel/flight.rs::both_bounds_hold_and_one_message_is_always_possible": [
        "DESCRIPTORS_IN_FLIGHT_PER_PEER",
        "LARGE_MESSAGES_IN_FLIGHT",
        "REGION_BYTES_IN_FLIGHT_PER_PEER",
        "REGION_BYTES_WARM",
    ],
    "crates/bus/src/channel/tests/growth.rs::a_ring_that_was_full_again_and_again_grows_when_its_receiver_agrees": [
        "FULL_RINGS_BEFORE_GROWTH",
        "GROWN_RING_BYTES",
    ],
    "crates/bus/src/channel/tests/known.rs::what_is_not_used_any_more_is_forgotten": ["KNOWN_REGION_SECONDS"],
    "crates/bus/src/channel/tests/known.rs::who_is_offered_more_than_it_may_keep_goes_on_getting_regions": [
        "KNOWN_REGIONS"
    ],
    "crates/bus/src/controller/tests/crowds.rs::members_that_register_again_wait_for_each_other_a_moment": [
        "CROWDED_MILLIS"
    ],
    "crates/bus/src/controller/tests/history.rs::a_liar_cannot_use_the_term_up": ["TERM_LEAP"],
    "crates/bus/src/controller/tests/history.rs::a_takeover_confirms_who_registers_and_looks_for_the_others": [
        "PROBE_MILLIS",
        "TAKEOVER_GRACE_MILLIS",
    ],
    "crates/bus/src/controller/tests/history.rs::former_controllers_are_named_up_to_the_bound": [
        "MISSED_CONTROLLERS",
        "PREDECESSORS",
    ],
    "crates/bus/src/controller/tests/history.rs::tombstones_past_the_bound_push_the_oldest_out": [
        "TOMBSTONES"
    ],
    "crates/bus/src/controller/tests/history.rs::tombstones_stay_their_time_and_go_with_a_later_commit": [
        "TOMBSTONE_SECONDS"
    ],
    "crates/bus/src/controller/tests/mod.rs::members_at_the_bound_and_one_past_it": ["MEMBERS"],
    "crates/bus/src/controller/tests/mod.rs::what_is_admitted_always_fits_a_copy": ["DIRECTORY_BYTES"],
    "crates/bus/src/inbox/tests.rs::channels_of_one_member_at_the_bound_and_one_past_it": [
        "CHANNELS_PER_PEER"
    ],
    "crates/bus/src/incidents/notices.rs::a_queue_keeps_the_first_ones_and_serves_one_thread": ["NOTICES"],
    "crates/bus/src/label_op.rs::bytes_at_the_bound_and_one_past_it": ["SELECTOR_BYTES"],
    "crates/bus/src/node/heritage.rs::of_too_many_who_depart_and_live_on_the_first_are_taken_over": [
        "DEPARTING"
    ],
    "crates/bus/src/node/succession.rs::one_who_missed_a_controller_lets_others_go_first_for_a_moment": [
        "HEIR_MILLIS"
    ],
    "crates/bus/src/record.rs::unknown_kinds_and_flags_and_too_many_descriptors_are_refused": [
        "DESCRIPTORS_PER_MESSAGE"
    ],
    "crates/bus/src/seen.rs::a_second_copy_is_known_up_to_the_bound": ["DEDUP_ENTRIES"],
    "crates/bus/tests/growth.rs::an_endpoint_grows_so_many_rings_and_no_more": ["GROWN_RINGS_BYTES"],
    "crates/bus/tests/regions.rs::a_payload_is_filled_in_place_and_has_a_head": ["HEAD_BYTES"],
    "tests/faults/test_strangers.py::test_a_crowd_leaves_a_small_process_its_descriptors": [
        "STRANGERS_SHARE"
    ],
}

#: Bounds that no test can reach, and why.
NOWHERE = {"LISTEN_BACKLOG": "the kernel cuts it"}


def test_every_bound_has_a_test() -> None:
    """A bound that is added to the source has to be used in test_limits.py, or in a test that is listed above."""
    used = set(re.findall(r'bound\("(\w+)"\)', Path(__file__).with_name("test_limits.py").read_text()))
    elsewhere = {name for names in ELSEWHERE.values() for name in names}
    known, listed = set(all_bounds()), elsewhere | set(NOWHERE)
    assert known
    assert used <= known, f"gone from the source: {used - known}"
    assert listed <= known, f"gone from the source: {listed - known}"
    assert known == used | listed, f"without a test: {known - used - listed}"
    assert not used & listed


@pytest.mark.parametrize("test", ELSEWHERE)
def test_a_bound_is_tested_elsewhere(test: str) -> None:
    """The test is there, and speaks of the bound; of a part of a limit of the system's it may speak in numbers."""
    file, _, name = test.partition("::")
    found = re.search(
        rf"^( *)(?:def|fn) {name}\(.*?(?=^\1[^ ])",
        (ROOT / file).read_text() + "\nend",
        re.MULTILINE | re.DOTALL,
    )
    assert found, f"there is no {test}"
    for limit in ELSEWHERE[test]:
        assert limit in found[0] or limit.endswith("_SHARE"), f"{test} does not speak of {limit}"
