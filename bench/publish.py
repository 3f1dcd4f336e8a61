"""Where the tables go: to the terminal, to a file, and between two marks of a document."""
import os
import sys

BEGIN, END = "<!-- figures: written by ./dev bench --publish -->", "<!-- end of the figures -->"


class Report:
    """A file to print to. The document changes only when everything was measured."""

    def __init__(self, output, document):
        self.output, self.document, self.text = output, document, ""

    def __enter__(self):
        self.file = open(self.output, "w") if self.output else None
        if self.document:
            around(self.document)  # say now, not in half an hour, that the marks are missing
        return self

    def __exit__(self, kind, *_):
        if self.file:
            self.file.close()
        if self.document and kind is None:
            publish(self.document, self.text)

    def write(self, text):
        self.text += text
        for file in (sys.stdout, self.file):
            if file:
                file.write(text)

    def flush(self):
        for file in (sys.stdout, self.file):
            if file:
                file.flush()


def around(document):
    """What stands before and after the figures."""
    with open(document) as file:
        text = file.read()
    if BEGIN not in text or END not in text.split(BEGIN)[1]:
        raise SystemExit(f"bench: {document} has no place for the figures: write these two lines where they go:\n"
                         f"{BEGIN}\n{END}")
    return text.split(BEGIN)[0], text.split(BEGIN)[1].split(END)[1]


def publish(document, figures):
    before, after = around(document)
    with open(document + ".new", "w") as file:
        file.write(f"{before}{BEGIN}\n{figures}{END}{after}")
    os.replace(document + ".new", document)
