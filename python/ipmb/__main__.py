"""`python -m ipmb`: the same as the command `ipmb`."""

from ipmb.cli import main

if __name__ == "__main__":
    main(prog_name="python -m ipmb")
