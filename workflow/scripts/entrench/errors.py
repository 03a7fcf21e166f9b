"""The exception whose message is written for the user."""


class EntrenchError(Exception):
    """An error that the user can mend.

    The message says what is wrong, where (file and line, config key, prompt id) and what to do.
    `entrench.execution.command.run` prints it as the last line of the job's log and
    exits with 1.
    """


def first_line(error: Exception) -> str:
    """The type of another package's error, and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
