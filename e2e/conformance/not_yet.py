"""What the server does not do yet, in one place. A test named here runs and must fail: the change that makes it pass removes its entry."""

import re

# File and test -> why it fails. A test without brackets means all its parameters; in brackets `*` stands for anything.
NOT_YET: dict[str, str] = {}


def names(key: str, test: str) -> bool:
    """Whether an entry of the table means this test (`file::name[parameters]`)."""
    if "[" not in key:
        test = test.split("[")[0]
    return re.fullmatch(re.escape(key).replace(r"\*", ".*"), test) is not None


OPENAI = "concerns OpenAI's chat and completions, which are not implemented"

# Rows of table 5 without a test, and why.
ROWS_WITHOUT_A_TEST = {
    29: OPENAI,
    30: OPENAI,
    33: "no caller is limited yet, so nothing sends a window",
    40: "payload events are not implemented",
    46: OPENAI,
}

# Golden vectors without a test, and why.
VECTORS_WITHOUT_A_TEST = {
    8: OPENAI,
    11: "webhooks are not implemented",
}
