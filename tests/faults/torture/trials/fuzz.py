"""Lying lengths, and every other lie that bytes can tell: all that reads another process's bytes, fuzzed."""

from __future__ import annotations

import time

from tests.faults.torture import fuzzing
from tests.faults.torture.trial import Case, Figures, Tell, Trial, Violation

#: Fuzzers at a time: as many as the smallest machine has cores.
BESIDE = 2
#: Seconds over its time that a fuzzer may take to end.
GRACE = 60


class Fuzz(Trial):
    name = "fuzz"
    title = "lying lengths: fuzzing of ring, control messages, label expressions, C ABI, with sanitizers"
    unit = "seconds a target"
    ci = 60
    demand = 600
    means = (
        "Each target gets bytes that libFuzzer makes up, for so many seconds. None may crash it, make it hang, or "
        "have it read beyond a buffer. The figures: cases tried, and edges of the program that they reached."
    )

    def run(self, count: int, seed: int, tell: Tell, case: Case | None = None) -> Figures:
        self.doing = "building"
        fuzzing.build()
        self.doing = ""
        if case is not None and "target" in case:
            code, output = fuzzing.replay(str(case["target"]), bytes.fromhex(str(case["input"])))
            if code:
                raise Violation(case, fuzzing.why(output))
            return {"replayed": str(case["target"])}
        waiting = fuzzing.targets()
        figures: Figures = {"sanitizer": "AddressSanitizer" if fuzzing.has_sanitizer() else "none"}
        running: list[tuple[fuzzing.Fuzzer, float]] = []
        began, share = time.monotonic(), BESIDE / len(waiting)
        goes_on = True
        try:
            while running or (waiting and goes_on):
                while waiting and len(running) < BESIDE and goes_on:
                    fuzzer = fuzzing.Fuzzer(waiting.pop(0), count, seed)
                    running.append((fuzzer, time.monotonic() + count + GRACE))
                time.sleep(0.2)
                goes_on = tell(min(count, int((time.monotonic() - began) * share)))
                for one in list(running):
                    if not goes_on or one[0].process.poll() is not None or time.monotonic() > one[1]:
                        running.remove(one)
                        figures[one[0].target] = self.judge(one[0], stopped=not goes_on)
        finally:
            for fuzzer, _ in running:
                fuzzer.kill()
        return {"crashes": 0, **figures}

    def judge(self, fuzzer: fuzzing.Fuzzer, *, stopped: bool) -> str:
        """What a fuzzer that has ended, or should have, has reached."""
        overdue = fuzzer.process.poll() is None and not stopped
        fuzzer.kill()
        found = fuzzer.failed()
        if found is not None or overdue or (fuzzer.process.returncode and not stopped):
            case = {"target": fuzzer.target, "input": (found or b"").hex()}
            raise Violation(case, f"{fuzzer.target}: {fuzzing.why(fuzzer.output())}")
        return fuzzer.figure()


TRIALS = [Fuzz()]
