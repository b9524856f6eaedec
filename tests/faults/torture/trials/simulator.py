"""The whole bus in made-up worlds, one a seed: crates/bus/tests/simulator. `make test-rust` runs the CI figure."""

from __future__ import annotations

from tests.faults.torture.native import Native

CARGO = ["cargo", "test", "--locked", "--release", "--quiet"]

TRIALS = [
    Native(
        "simulator",
        title="seeded simulator of controller and endpoints: deaths, delays, reordering, clock jumps, ttl",
        unit="seeds",
        ci=2_000,
        demand=1_000_000,
        means=(
            "A seed is a made-up world: the production code of controller, endpoints and waiting messages with a "
            "clock and a network that a generator of random numbers plays. In none is a promise broken. The "
            "figures: how often the rare things happened that the worlds are made for."
        ),
        command=[*CARGO, "--package", "ipmb-bus", "--lib", "simulator", "--", "--nocapture"],
    ),
]
