"""What type checkers make of the interface; both read these files, and pytest runs them."""  # noqa: A005
