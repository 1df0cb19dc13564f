"""The errors that users see, and the table of them that a test run ends with."""

DOMAINS = {
    "gst-core-error-quark": (
        "CORE",
        "FAILED TOO_LAZY NOT_IMPLEMENTED STATE_CHANGE PAD THREAD NEGOTIATION EVENT SEEK CAPS TAG MISSING_PLUGIN CLOCK"
        " DISABLED",
    ),
    "gst-library-error-quark": ("LIBRARY", "FAILED TOO_LAZY INIT SHUTDOWN SETTINGS ENCODE"),
    "gst-resource-error-quark": (
        "RESOURCE",
        "FAILED TOO_LAZY NOT_FOUND BUSY OPEN_READ OPEN_WRITE OPEN_READ_WRITE CLOSE READ WRITE SEEK SYNC SETTINGS"
        " NO_SPACE_LEFT NOT_AUTHORIZED",
    ),
    "gst-stream-error-quark": (
        "STREAM",
        "FAILED TOO_LAZY NOT_IMPLEMENTED TYPE_NOT_FOUND WRONG_TYPE CODEC_NOT_FOUND DECODE ENCODE DEMUX MUX FORMAT"
        " DECRYPT DECRYPT_NOKEY",
    ),
}


def name(event):
    """RESOURCE/SETTINGS of an error or warning of a Launcher."""
    domain, codes = DOMAINS[event["domain"]]
    return f"{domain}/{codes.split()[event['code'] - 1]}"


class ErrorTable:
    """What was done wrong, and what the user was told."""

    def __init__(self):
        self.rows = {}

    def add(self, group, wrong, code, sentence):
        self.rows.setdefault(group, {})[wrong] = (code, sentence)

    def merge(self, rows):
        for group, more in rows.items():
            self.rows.setdefault(group, {}).update(more)

    def lines(self):
        for group, rows in self.rows.items():
            yield f"\n{group}\n"
            width = max(len(wrong) for wrong in rows)
            for wrong, (code, sentence) in rows.items():
                yield f"  {wrong:{width}}  {code:{max(len(c) for c, _ in rows.values())}}  {sentence}"
