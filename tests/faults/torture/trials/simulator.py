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
        command=[*CARGO, "--package", "ipmb-bus", "--lib", "simulator", "--", "--nocapture"],
    ),
]
