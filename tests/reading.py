"""How a browser reads a table that is shown in a notebook."""

from html.parser import HTMLParser


class Reader(HTMLParser):
    """What a browser reads: the text of each cell by its row, paragraphs, and the tags met."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.paragraphs, self.tags = [], [], set()
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "p":
            self.paragraphs.append("")
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, text):
        if self.inside in ("td", "th"):
            self.rows[-1][-1] += text
        elif self.inside == "p":
            self.paragraphs[-1] += text
