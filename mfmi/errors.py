"""What can go wrong for a user, one class a cause; the command line turns each into one line and an exit code."""


class MfmiError(Exception):
    """Base of every error that is the user's to mend."""


class ConfigError(MfmiError):
    """A sweep config that cannot be run as it stands."""


class NumericsError(MfmiError):
    """A quantity that cannot be computed to its stated accuracy."""


class OutputError(MfmiError):
    """A file that cannot be read or written, or that is in the way."""


class ResumeError(MfmiError):
    """A partial sweep that does not belong to the config that wants to resume it."""


class MfmiWarning(UserWarning):
    """What the user should know of, such as a line that was passed over; the command line shows it as one line."""
