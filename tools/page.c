#include "page.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/status.h"
#include "json.h"
#include "page_style.h"
#include "tools.h"
#include "words.h"

/* Bytes of a well-formed UTF-8 character at `text`, 0 when it is none. */
static size_t character(const unsigned char *text)
{
    size_t more = *text < 0x80             ? 0
                  : (*text & 0xE0) == 0xC0 ? 1
                  : (*text & 0xF0) == 0xE0 ? 2
                  : (*text & 0xF8) == 0xF0 ? 3
                                           : 4;
    if (more == 4 || *text == 0xC0 || *text == 0xC1 || *text > 0xF4)
        return 0;
    for (size_t i = 1; i <= more; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    return more + 1;
}

void page_text(const struct page *page, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        size_t length = character(at);
        if (*at == '&')
            fputs("&amp;", page->out);
        else if (*at == '<')
            fputs("&lt;", page->out);
        else if (*at == '>')
            fputs("&gt;", page->out);
        else if (*at == '"')
            fputs("&quot;", page->out);
        else if (*at == '\'')
            fputs("&#39;", page->out);
        else if (*at == '\r' || *at == '\f')
            fputc(' ', page->out);
        else if (length == 0 || (*at < 0x20 && *at != '\t' && *at != '\n') || *at == 0x7F)
            fputs("&#xFFFD;", page->out);
        else
            fwrite(at, 1, length, page->out);
        at += length ? length : 1;
    }
}

/* Markup of our own; only what goes through page_text() comes from elsewhere. */
__attribute__((format(printf, 2, 3))) static void raw(const struct page *page, const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(page->out, format, arguments);
    va_end(arguments);
}

static void cell_text(const struct page *page, const char *label, const char *content)
{
    raw(page, "<td data-label=\"%s\">", label);
    page_text(page, content);
    raw(page, "</td>");
}

static void table_begin(const struct page *page, const char *class_, const char *const *heads)
{
    raw(page, "<table class=\"rows %s\"><thead><tr>", class_);
    for (; *heads; heads++)
        raw(page, "<th scope=col>%s</th>", *heads);
    raw(page, "</tr></thead><tbody>\n");
}

static void table_end(const struct page *page)
{
    raw(page, "</tbody></table>\n");
}

static int count_of(const struct page *page, const char *key, const char *class_)
{
    json_t *unit, *item;
    size_t i, j;
    int count = 0;
    json_array_foreach(json_object_get(page->report, "units"), i, unit)
    {
        json_array_foreach(json_object_get(unit, key), j, item)
        {
            count += !class_ || is(item, "class", class_);
        }
    }
    return count;
}

/* With several units, which one an entry is from. */
static void unit_note(const struct page *page, const json_t *unit)
{
    if (json_array_size(json_object_get(page->report, "units")) < 2)
        return;
    raw(page, " <span class=\"dim small\">in ");
    page_text(page, text(unit, "file"));
    raw(page, "</span>");
}

/* ---- the head and the summary ---- */

static const char *verdict_style(const json_t *report)
{
    if (is(report, "verdict", "ready"))
        return "green";
    return is(report, "verdict", "refused") ? "red" : "amber";
}

static void print_head(const struct page *page)
{
    char sentence[512];
    const char *program = text(page->report, "program");
    verdict_sentence(page->report, sentence, sizeof sentence);
    raw(page, "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
              "<meta name=viewport content=\"width=device-width,initial-scale=1\">\n<title>");
    page_text(page, base_name(program));
    raw(page, " - Palisade report</title>\n<style>\n%s</style>\n</head>\n<body>\n<header>\n",
        page_style);
    raw(page, "<p class=dim>Palisade report of</p>\n<h1>");
    page_text(page, program);
    raw(page, "</h1>\n<p class=\"verdict %s\">", verdict_style(page->report));
    *sentence = (char)(*sentence >= 'a' && *sentence <= 'z' ? *sentence - 'a' + 'A' : *sentence);
    page_text(page, sentence);
    raw(page, "</p>\n<nav aria-label=\"On this page\"><ul>");
    static const char *const parts[][3] = {{"change", "What to change", "unhandled"},
                                           {"disagree", "Units disagree", "disagreements"},
                                           {"threads", "Threads", NULL},
                                           {"locks", "Locks", NULL},
                                           {"variables", "Variables", NULL},
                                           {"calls", "Calls", NULL},
                                           {"notes", "Good to know", "notes"}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i][2] ? json_array_size(json_object_get(page->report, parts[i][2])) > 0
            : strcmp(parts[i][0], "calls") == 0
                ? json_object_size(json_object_get(page->report, "classes")) > 0
                : count_of(page, parts[i][0], NULL) > 0)
            raw(page, "<li><a href=\"#%s\">%s</a></li>", parts[i][0], parts[i][1]);
    if (page->mark_count > 0)
        raw(page, "<li><a href=\"#source\">Source</a></li>");
    raw(page, "</ul></nav>\n</header>\n<main>\n");
}

static void print_coverage(const struct page *page)
{
    const json_t *missing = json_object_get(page->report, "uninstrumented");
    json_t *source;
    size_t i;
    if (json_array_size(missing) > 0) {
        raw(page, "<p class=\"verdict amber\">Compiled without Palisade, so that nothing in these "
                  "is replayed:");
        json_array_foreach(missing, i, source)
        {
            raw(page, "%s ", i ? "," : "");
            page_text(page, json_string_value(source));
        }
        raw(page, "</p>\n");
    }
    if (json_is_true(json_object_get(page->report, "stripped")))
        raw(page, "<p class=\"verdict grey\">The program is stripped: units compiled without "
                  "Palisade cannot be told.</p>\n");
}

static void card(const struct page *page, int count, const char *one, const char *many)
{
    raw(page, "<li><b>%d</b>%s</li>", count, count == 1 ? one : many);
}

static void fate_row(const struct page *page, const char *fate, int count)
{
    raw(page, "<tr><td><b class=\"mark %s\">%c</b></td><td class=num>%d</td><th scope=row>",
        fate_style(fate), fate_letter(fate), count);
    page_text(page, fate);
    raw(page, "</th><td class=dim>");
    const char *meaning = words_for(fate_words, fate);
    page_text(page, meaning == fate ? "" : meaning);
    raw(page, "</td></tr>\n");
}

static void print_cards(const struct page *page)
{
    int unhandled = (int)json_array_size(json_object_get(page->report, "unhandled"));
    raw(page, "<ul class=cards>");
    card(page, unhandled, "place to change", "places to change");
    card(page, count_of(page, "threads", NULL), "kind of thread", "kinds of thread");
    card(page, count_of(page, "locks", NULL), "lock", "locks");
    card(page, count_of(page, "variables", "racy"), "variable logged", "variables logged");
    card(page, count_of(page, "variables", "covered"), "variable covered by a lock",
         "variables covered by locks");
    raw(page, "</ul>\n");
}

static void print_accesses(const struct page *page)
{
    const json_t *counters = json_object_get(page->report, "counters");
    const char *fate;
    json_t *count;
    raw(page, "<h2 id=accesses>Accesses</h2>\n<p>Places in the source that read or write "
              "what threads could share. Only logged ones cost time.</p>\n"
              "<div class=bar aria-hidden=true>");
    for (const struct words *row = fate_words; row->key; row++)
        if (number(counters, row->key) > 0)
            raw(page, "<span class=%s style=\"flex:%d\"></span>", fate_style(row->key),
                number(counters, row->key));
    raw(page, "</div>\n<table class=fates><tbody>\n");
    for (const struct words *row = fate_words; row->key; row++)
        if (number(counters, row->key) > 0)
            fate_row(page, row->key, number(counters, row->key));
    json_object_foreach((json_t *)counters, fate, count)
    {
        if (words_for(fate_words, fate) == fate && strcmp(fate, "unhandled") != 0)
            fate_row(page, fate, (int)json_integer_value(count));
    }
    raw(page, "</tbody></table>\n");
}

/* ---- the tables ---- */

static void print_items(const struct page *page, const char *key, const char *id, const char *title)
{
    static const char *const heads[] = {"Where", "What", "What to do", NULL};
    const json_t *items = json_object_get(page->report, key);
    json_t *item;
    size_t i;
    if (json_array_size(items) == 0)
        return;
    raw(page, "<h2 id=%s>%s</h2>\n", id, title);
    table_begin(page, "", heads);
    json_array_foreach(items, i, item)
    {
        raw(page, "<tr><th scope=row class=name>");
        source_link(page, text(item, "unit"), text(item, "file"), number(item, "line"));
        raw(page, "</th><td class=name>");
        page_text(page, text(item, "what"));
        raw(page, "%s</td>", is(item, "kind", "call") ? "()" : "");
        cell_text(page, "To do", text(item, "advice"));
        raw(page, "</tr>\n");
    }
    table_end(page);
}

static void print_side(const struct page *page, const json_t *side)
{
    raw(page, "<td class=name>");
    source_link(page, text(side, "unit"), text(side, "file"), number(side, "line"));
    raw(page, " ");
    page_text(page, text(side, "op"));
    raw(page, " in ");
    page_text(page, text(side, "function"));
    raw(page, *text(side, "lock") ? ", under " : ", without a lock");
    page_text(page, text(side, "lock"));
    raw(page, "</td>");
}

static void print_disagreements(const struct page *page)
{
    static const char *const heads[] = {"Variable", "One unit", "Another", NULL};
    const json_t *items = json_object_get(page->report, "disagreements");
    json_t *item;
    size_t i;
    if (json_array_size(items) == 0)
        return;
    raw(page, "<h2 id=disagree>Units disagree</h2>\n<p>Not logged where a unit holds a lock, or "
              "takes the object for its own. Guard them alike in all units, or build with a plan "
              "(docs/pass.md): it knows both sides.</p>\n");
    table_begin(page, "", heads);
    json_array_foreach(items, i, item)
    {
        const json_t *sides = json_object_get(item, "sides");
        raw(page, "<tr><th scope=row class=name>");
        page_text(page, text(item, "variable"));
        raw(page, "</th>");
        print_side(page, json_array_get(sides, 0));
        print_side(page, json_array_get(sides, 1));
        raw(page, "</tr>\n");
    }
    table_end(page);
}

static void print_threads(const struct page *page)
{
    static const char *const heads[] = {"Starts in", "How many", "Created at", NULL};
    json_t *unit, *thread;
    size_t i, j;
    if (count_of(page, "threads", NULL) == 0)
        return;
    raw(page, "<h2 id=threads>Threads</h2>\n");
    table_begin(page, "", heads);
    json_array_foreach(json_object_get(page->report, "units"), i, unit)
    {
        json_array_foreach(json_object_get(unit, "threads"), j, thread)
        {
            raw(page, "<tr><th scope=row class=name>");
            page_text(page, text(thread, "entry"));
            unit_note(page, unit);
            raw(page, "</th>");
            cell_text(page, "How many",
                      json_is_true(json_object_get(thread, "many")) ? "several" : "one");
            raw(page, "<td data-label=\"Created at\">");
            if (number(thread, "line") > 0)
                source_link(page, text(unit, "file"), text(thread, "file"), number(thread, "line"));
            else
                raw(page, "the first thread");
            raw(page, "</td></tr>\n");
        }
    }
    table_end(page);
}

static void print_locks(const struct page *page)
{
    static const char *const heads[] = {"Lock", "Places that take it", NULL};
    json_t *unit, *lock;
    size_t i, j;
    if (count_of(page, "locks", NULL) == 0)
        return;
    raw(page, "<h2 id=locks>Locks</h2>\n");
    table_begin(page, "", heads);
    json_array_foreach(json_object_get(page->report, "units"), i, unit)
    {
        json_array_foreach(json_object_get(unit, "locks"), j, lock)
        {
            raw(page, "<tr><th scope=row class=name>");
            page_text(page, text(lock, "name"));
            unit_note(page, unit);
            raw(page, "</th><td data-label=Places>%d</td></tr>\n", number(lock, "acquisitions"));
        }
    }
    table_end(page);
}

/* The access that a person should look at: the first one of the gravest fate. */
static const json_t *worst_access(const json_t *variable)
{
    json_t *access;
    size_t i;
    const json_t *worst = NULL;
    json_array_foreach(json_object_get(variable, "accesses"), i, access)
    {
        if (!worst || fate_rank(text(access, "fate")) < fate_rank(text(worst, "fate")))
            worst = access;
    }
    return worst;
}

static void print_variable(const struct page *page, const json_t *unit, const json_t *variable)
{
    const json_t *first = worst_access(variable);
    const char *fate, *lock = text(variable, "lock"), *why = text(variable, "why");
    json_t *count;
    raw(page, "<tr><th scope=row class=name>");
    page_text(page, text(variable, "name"));
    unit_note(page, unit);
    raw(page, "</th><td>");
    page_text(page, words_for(variable_words, text(variable, "class")));
    if (*lock || *why) {
        raw(page, *lock ? ": <span class=name>" : ": <span>");
        page_text(page, *lock ? lock : why);
        raw(page, "</span>");
    }
    raw(page, "</td><td data-label=Accesses><span class=counts>");
    json_object_foreach(json_object_get(variable, "counts"), fate, count)
    {
        raw(page, "<span><b class=\"mark %s\" title=\"", fate_style(fate));
        page_text(page, fate);
        raw(page, "\">%c</b> %d</span>", fate_letter(fate), (int)json_integer_value(count));
    }
    raw(page, "</span></td><td class=name data-label=\"Look at\">");
    if (first)
        source_link(page, text(unit, "file"), text(first, "file"), number(first, "line"));
    raw(page, "</td></tr>\n");
}

static void print_class(const struct page *page, const char *class_)
{
    json_t *unit, *variable;
    size_t i, j;
    json_array_foreach(json_object_get(page->report, "units"), i, unit)
    {
        json_array_foreach(json_object_get(unit, "variables"), j, variable)
        {
            if (is(variable, "class", class_))
                print_variable(page, unit, variable);
        }
    }
}

static void print_variables(const struct page *page)
{
    static const char *const heads[] = {"Variable", "Why", "Accesses", "Look at", NULL};
    static const struct {
        const char *title, *classes[4];
        bool open;
    } groups[] = {
        {"Logged: threads use them without a common lock", {"racy"}, true},
        {"Covered: every access holds the lock that is named", {"covered"}, true},
        {"Reached through pointers: assumptions that you can check",
         {"assumed-private", "assumed-covered"},
         true},
        {"Set once, or of one thread", {"init", "assumed-init", "private", "read-only"}, false},
    };
    if (count_of(page, "variables", NULL) == 0)
        return;
    raw(page, "<h2 id=variables>Variables</h2>\n");
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        int count = 0;
        for (size_t j = 0; j < 4 && groups[i].classes[j]; j++)
            count += count_of(page, "variables", groups[i].classes[j]);
        if (count == 0)
            continue;
        raw(page,
            "<details class=group%s><summary><strong>%s</strong> <span "
            "class=dim>(%d)</span></summary>\n",
            groups[i].open ? " open" : "", groups[i].title, count);
        table_begin(page, "variables", heads);
        for (size_t j = 0; j < 4 && groups[i].classes[j]; j++)
            print_class(page, groups[i].classes[j]);
        table_end(page);
        raw(page, "</details>\n");
    }
}

static void print_calls(const struct page *page)
{
    const json_t *classes = json_object_get(page->report, "classes");
    const char *name;
    json_t *count;
    if (json_object_size(classes) == 0)
        return;
    raw(page, "<h2 id=calls>Calls that the pass knows</h2>\n<table><tbody>\n");
    json_object_foreach((json_t *)classes, name, count)
    {
        raw(page, "<tr><td class=num>%d</td><th scope=row>", (int)json_integer_value(count));
        page_text(page, name);
        raw(page, "</th><td class=dim>");
        page_text(page, words_for(class_words, name));
        raw(page, "</td></tr>\n");
    }
    raw(page, "</tbody></table>\n");
}

static void print_legend(const struct page *page)
{
    raw(page, "<h2 id=source>Source</h2>\n<p>The letter in the margin tells what happens to the "
              "line's accesses, + that there are several kinds; open the line for the list.</p>\n"
              "<p class=counts><span><b class=\"mark red\">!</b> to change</span>");
    for (const struct words *row = fate_words; row->key; row++)
        raw(page, "<span><b class=\"mark %s\">%c</b> %s</span>", fate_style(row->key), row->letter,
            row->key);
    raw(page, "<span><b class=\"mark grey\">T</b> a thread starts</span><span><b class=\"mark "
              "grey\">N</b> good to know</span></p>\n");
}

int report_page(const json_t *report, const char *path)
{
    bool to_stdout = strcmp(path, "-") == 0;
    struct page page = {.report = report, .out = to_stdout ? stdout : fopen(path, "we")};
    if (!page.out) {
        fprintf(stderr, "palisade: %s: the page cannot be written: %s\n", path, strerror(errno));
        return STATUS_DISK;
    }
    sources_collect(&page);
    print_head(&page);
    print_coverage(&page);
    bool any = json_array_size(json_object_get(report, "units")) > 0;
    if (any)
        print_cards(&page);
    print_items(&page, "unhandled", "change", "What to change");
    print_disagreements(&page);
    if (any)
        print_accesses(&page);
    print_threads(&page);
    print_locks(&page);
    print_variables(&page);
    print_calls(&page);
    print_items(&page, "notes", "notes", "Good to know");
    if (page.mark_count > 0)
        print_legend(&page);
    sources_print(&page);
    raw(&page, "</main>\n<footer>Written by <code>palisade report --html</code>. What the words "
               "mean: docs/report.md and docs/pass.md of Palisade.</footer>\n</body>\n</html>\n");
    sources_free(&page);
    if (!to_stdout) {
        char sentence[512];
        verdict_sentence(report, sentence, sizeof sentence);
        printf("%s: %s\n", text(report, "program"), sentence);
    }
    bool failed = ferror(page.out) != 0;
    if (!to_stdout)
        failed |= fclose(page.out) != 0;
    if (failed)
        fprintf(stderr, "palisade: %s: the page cannot be written: %s\n", path, strerror(errno));
    return failed ? STATUS_DISK : STATUS_OK;
}
