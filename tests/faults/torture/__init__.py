"""What torments the bus at length: each row of the table in docs/testing.md is one trial.

    trial.py        what a trial is, and what it says when it has found something
    asked.py        what the user asked for
    ending.py       when a trial has to end: its time, Ctrl-C
    record.py       where figures and failing cases are kept
    page.py         the table of docs/testing.md
    native.py       trials that are Rust programs
    staged.py       trials that are processes under control of one
    books.py        the books that all who talk keep
    invariant.py    what is wrong with them
    faces.py        the bus as threads and as event loops use it, behind one
    talker.py       a member that uses everything, and writes that down
    chairs.py       what plays controller in turns, and lives on
    weather.py      a process that bears members and kills them
    soaker.py       members that do themselves harm, and liars
    soak.py         the weather when everything happens at once
    trials/         one file a trial; whatever is there is found
    __main__.py     `make torture`

The same code runs twice: with the small count in `make test` (`tests/faults/test_*.py` call :func:`trial.in_ci`) and
with the large one behind `make torture`.
"""
