# page.py PAGE REPORT_JSON: the page is well-formed, stands alone, and shows what the report says.
import html.parser
import json
import re
import sys

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.targets, self.tags, self.text = [], set(), set(), [], ""
        self.marks, self.line = {}, None

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes.items():
            assert name not in ("src", "srcset", "action") and not name.startswith("on"), (tag, name)
            if name == "href":
                assert value.startswith("#"), value
                self.targets.add(value[1:])
            if name == "style":
                assert re.fullmatch(r"flex:\d+", value), value
        if "id" in attributes:
            assert attributes["id"] not in self.ids, attributes["id"]
            self.ids.add(attributes["id"])
        if tag == "details":
            self.line = attributes.get("id")
        if tag == "b" and self.line and "mark" in attributes.get("class", ""):
            self.marks.setdefault(self.line, []).append("")

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:], self.getpos())
        self.open.pop()
        if tag == "details":
            self.line = None

    def handle_data(self, data):
        self.text += data
        if self.line and self.open[-1] == "b" and self.marks.get(self.line):
            self.marks[self.line][-1] += data


source = open(sys.argv[1], encoding="utf-8").read()
report = json.load(open(sys.argv[2]))
page = Page()
page.feed(source)
page.close()
assert not page.open, page.open
assert page.targets <= page.ids, page.targets - page.ids
assert source.startswith("<!DOCTYPE html>") and "lang=en" in source
for tag in ("title", "header", "main", "nav", "footer", "h1", "style"):
    assert page.tags.count(tag) == 1, tag
assert not {"script", "link", "iframe", "object", "img"} & set(page.tags), page.tags
assert not re.search(r"url\(|@import|https?:", source), "nothing comes from elsewhere"
letters = dict(zip(
    ("logged", "elided", "init", "private", "read-only", "assumed-covered", "assumed-private"), "LEISRCA"))
lines, expected = 0, {}
for unit in report["units"]:
    for key, name in (("threads", "entry"), ("locks", "name"), ("variables", "name")):
        for item in unit[key]:
            assert item[name] in page.text, item[name]
    for variable in unit["variables"]:
        for access in filter(lambda access: access["line"], variable["accesses"]):
            expected.setdefault((access["file"], access["line"]), set()).add(letters[access["fate"]])
    for thread in unit["threads"]:
        if thread["line"]:
            expected.setdefault((thread["file"], thread["line"]), set()).add("T")
for item in report["notes"]:
    if item["line"]:
        expected.setdefault((item["file"], item["line"]), set()).add("N")
for item in report["unhandled"]:
    assert item["advice"] in page.text and item["what"] in page.text, item
    if item["line"]:
        expected.setdefault((item["file"], item["line"]), set()).add("!")
# Each line's letters, whatever the number that the page gave its file.
shown = sorted((int(id_.split("-")[1]), "".join(sorted(set(marks)))) for id_, marks in page.marks.items())
wanted = sorted((line, "".join(sorted(fates))) for (file, line), fates in expected.items())
assert [entry for entry in shown if entry[0]] == wanted, (shown, wanted)
print("page agrees:", len(wanted), "lines,", "".join(sorted(set("".join(letters for _, letters in wanted)))))
