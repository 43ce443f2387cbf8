"""The one exception that a user is meant to read, and the exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes shared by `rpt`, its stages and its flow."""

    DONE = 0
    STAGE_FAILED = 1
    USAGE = 2
    CONTRACT = 3
    QUARANTINE = 4
    ENVIRONMENT = 5
    BUDGET = 6
    LOCKED = 7
    INTERRUPTED = 75


class Failure(Exception):
    """Something a person can put right: what failed, why, and what to do about it."""

    def __init__(self, what: str, cause: str, remedy: str, code: Exit = Exit.STAGE_FAILED):
        super().__init__(f"{what} | {cause} | {remedy}")
        self.what, self.cause, self.remedy, self.code = what, cause, remedy, code

    def __reduce__(self) -> tuple:
        return Failure, (self.what, self.cause, self.remedy, self.code)
