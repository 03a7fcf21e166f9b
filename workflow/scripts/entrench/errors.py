"""The one exception whose message a user reads."""


class EntrenchError(Exception):
    """Something the user can mend.

    The message says what is wrong, where (file and line, config key, prompt id) and what to do
    about it. `entrench.execution.command.run` prints it as the last line of the job's log and
    exits with 1.
    """


def first_line(error: Exception) -> str:
    """The kind of an error of another package, and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
