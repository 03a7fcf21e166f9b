"""The one exception whose message a user reads."""


class EntrenchError(Exception):
    """Something the user can mend.

    The message says what is wrong, where (file and line, config key, prompt id) and what to do
    about it. `entrench.command.run` prints it as the last line of the job's log and exits with 1.
    """
