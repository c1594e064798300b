#include "page.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "json.h"
#include "words.h"

#define SOURCE_MAX (8 << 20) /* bytes of a source that is shown */

const char *fate_style(const char *fate)
{
    static const char *const styles[][2] = {{"logged", "amber"},
                                            {"elided", "green"},
                                            {"assumed-covered", "blue"},
                                            {"assumed-private", "violet"}};
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++)
        if (strcmp(styles[i][0], fate) == 0)
            return styles[i][1];
    return "grey";
}

int fate_rank(const char *fate)
{
    static const char *const order[] = {"logged", "assumed-private", "assumed-covered", "elided",
                                        "init",   "private",         "read-only"};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (strcmp(order[i], fate) == 0)
            return (int)i + 1;
    return 1; /* a fate that this version does not know */
}

/* ---- collecting ---- */

static const char *folder_of(const json_t *report, const char *unit_file, const char *file)
{
    json_t *unit;
    size_t i;
    json_array_foreach(json_object_get(report, "units"), i, unit)
    {
        if (is(unit, "file", unit_file))
            return text(json_object_get(unit, "files"), file);
    }
    return "";
}

static size_t find_source(const struct page *page, const char *file, const char *folder)
{
    for (size_t i = 0; i < page->source_count; i++)
        if (strcmp(page->sources[i].file, file) == 0 &&
            strcmp(page->sources[i].folder, folder) == 0)
            return i;
    return page->source_count;
}

static void *grow(void *array, size_t count, size_t size)
{
    if (count & (count - 1)) /* doubled when it is a power of two */
        return array;
    void *more = reallocarray(array, count ? 2 * count : 1, size);
    if (!more)
        abort();
    return more;
}

/* NULL when nobody knows the line. */
static struct mark *add_mark(struct page *page, const char *unit, const json_t *at)
{
    if (number(at, "line") <= 0)
        return NULL;
    const char *file = text(at, "file"), *folder = folder_of(page->report, unit, file);
    size_t source = find_source(page, file, folder);
    if (source == page->source_count) {
        page->sources = grow(page->sources, source, sizeof *page->sources);
        page->sources[page->source_count++] = (struct source){file, folder};
    }
    page->marks = grow(page->marks, page->mark_count, sizeof *page->marks);
    struct mark *mark = &page->marks[page->mark_count++];
    *mark = (struct mark){.source = source, .line = number(at, "line")};
    return mark;
}

static void collect_items(struct page *page, const char *key, char letter, const char *style,
                          int rank, const char *words)
{
    json_t *item;
    size_t i;
    json_array_foreach(json_object_get(page->report, key), i, item)
    {
        struct mark *mark = add_mark(page, text(item, "unit"), item);
        if (!mark)
            continue;
        mark->letter = letter;
        mark->style = style;
        mark->rank = rank;
        if (asprintf(&mark->text, "%s%s%s: %s", text(item, "what"),
                     is(item, "kind", "call") ? "()" : "", words, text(item, "advice")) < 0)
            abort();
    }
}

static void collect_threads(struct page *page, const json_t *unit)
{
    json_t *thread;
    size_t i;
    json_array_foreach(json_object_get(unit, "threads"), i, thread)
    {
        struct mark *mark = add_mark(page, text(unit, "file"), thread);
        if (!mark) /* main */
            continue;
        mark->letter = 'T';
        mark->style = "grey";
        mark->rank = 9;
        if (asprintf(&mark->text, "%s starts here: %s",
                     json_is_true(json_object_get(thread, "many")) ? "several threads" : "a thread",
                     text(thread, "entry")) < 0)
            abort();
    }
}

static void collect_accesses(struct page *page, const json_t *unit, const json_t *variable)
{
    json_t *access;
    size_t i;
    json_array_foreach(json_object_get(variable, "accesses"), i, access)
    {
        struct mark *mark = add_mark(page, text(unit, "file"), access);
        if (!mark)
            continue;
        const char *fate = text(access, "fate"), *lock = text(access, "lock");
        const char *meaning = words_for(fate_words, fate);
        bool logged = strcmp(fate, "logged") == 0;
        mark->rank = fate_rank(fate);
        mark->letter = fate_letter(fate);
        mark->style = fate_style(fate);
        const char *joint = logged            ? ", because "
                            : *lock           ? ", under "
                            : meaning == fate ? ""
                                              : ": ";
        const char *reason = logged            ? text(variable, "why")
                             : *lock           ? lock
                             : meaning == fate ? ""
                                               : meaning;
        if (asprintf(&mark->text, "%s %s: %s%s%s",
                     is(access, "op", "store") ? "store to" : "load of", text(variable, "name"),
                     fate, joint, reason) < 0)
            abort();
    }
}

static int compare_marks(const void *left, const void *right)
{
    const struct mark *a = left, *b = right;
    if (a->source != b->source)
        return a->source < b->source ? -1 : 1;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return strcmp(a->text, b->text);
}

void sources_collect(struct page *page)
{
    json_t *unit, *variable;
    size_t i, j;
    json_array_foreach(json_object_get(page->report, "units"), i, unit)
    {
        json_array_foreach(json_object_get(unit, "variables"), j, variable)
        {
            collect_accesses(page, unit, variable);
        }
        collect_threads(page, unit);
    }
    collect_items(page, "unhandled", '!', "red", 0, " cannot be replayed");
    collect_items(page, "notes", 'N', "grey", 10, "");
    if (page->mark_count > 0)
        qsort(page->marks, page->mark_count, sizeof *page->marks, compare_marks);
}

void sources_free(struct page *page)
{
    for (size_t i = 0; i < page->mark_count; i++)
        free(page->marks[i].text);
    free(page->marks);
    free(page->sources);
}

void source_link(const struct page *page, const char *unit, const char *file, int line)
{
    size_t source = find_source(page, file, folder_of(page->report, unit, file));
    bool known = line > 0 && source < page->source_count;
    if (known)
        fprintf(page->out, "<a href=\"#s%zu-%d\">", source, line);
    page_text(page, file);
    if (line > 0)
        fprintf(page->out, ":%d", line);
    if (known)
        fputs("</a>", page->out);
}

/* ---- printing ---- */

/* The text of a source, or NULL. */
static char *read_source(const struct source *source, struct stat *status)
{
    char path[4096];
    if (*source->file == '/' || !*source->folder)
        snprintf(path, sizeof path, "%s", source->file);
    else
        snprintf(path, sizeof path, "%s/%s", source->folder, source->file);
    FILE *file = fopen(path, "re");
    if (!file && *source->file) /* moved: as the report names it, from here */
        file = fopen(source->file, "re");
    if (!file)
        return NULL;
    char *bytes = NULL;
    if (fstat(fileno(file), status) == 0 && S_ISREG(status->st_mode) &&
        status->st_size <= SOURCE_MAX && (bytes = calloc(1, (size_t)status->st_size + 1))) {
        size_t length = fread(bytes, 1, (size_t)status->st_size, file);
        for (size_t i = 0; i < length; i++) /* it is text to the end */
            if (bytes[i] == 0)
                bytes[i] = '?';
    }
    fclose(file);
    return bytes;
}

/* The marks of one line: [begin, end); its letters are those of different fates. */
static void print_letters(const struct page *page, size_t begin, size_t end)
{
    fputs("<span>", page->out);
    fprintf(page->out, "<b class=\"mark %s\">%c</b>", page->marks[begin].style,
            page->marks[begin].letter);
    for (size_t i = begin + 1; i < end; i++)
        if (page->marks[i].letter != page->marks[begin].letter) {
            fputs("+", page->out); /* more than one fate: the list tells */
            break;
        }
    fputs("</span>", page->out);
}

static void print_marks(const struct page *page, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        size_t same = i + 1;
        while (same < end && strcmp(page->marks[same].text, page->marks[i].text) == 0)
            same++;
        fprintf(page->out, "<li><b class=\"mark %s\">%c</b> ", page->marks[i].style,
                page->marks[i].letter);
        page_text(page, page->marks[i].text);
        if (same - i > 1)
            fprintf(page->out, " (%zu times)", same - i);
        fputs("</li>", page->out);
        i = same - 1;
    }
}

static void print_line(const struct page *page, size_t source, int number, const char *line,
                       size_t begin, size_t end)
{
    if (begin == end) {
        fprintf(page->out, "<div class=l><i>%d</i><span></span><span>", number);
        page_text(page, line);
        fputs("</span></div>\n", page->out);
        return;
    }
    fprintf(page->out, "<details class=\"l %s\" id=\"s%zu-%d\"><summary title=\"",
            page->marks[begin].style, source, number);
    page_text(page, page->marks[begin].text);
    fprintf(page->out, "\"><i>%d</i>", number);
    print_letters(page, begin, end);
    fputs("<span>", page->out);
    page_text(page, line);
    fputs("</span></summary><ul>", page->out);
    print_marks(page, begin, end);
    fputs("</ul></details>\n", page->out);
}

/* Marks that no line shows: beyond the end, or all when there is no source. */
static void print_lost(const struct page *page, size_t source, size_t begin, size_t end)
{
    if (begin == end)
        return;
    fputs("<div class=code><div class=lines>\n", page->out);
    while (begin < end) {
        size_t next = begin;
        while (next < end && page->marks[next].line == page->marks[begin].line)
            next++;
        print_line(page, source, page->marks[begin].line, "", begin, next);
        begin = next;
    }
    fputs("</div></div>\n", page->out);
}

static void print_source(const struct page *page, size_t source, size_t begin, size_t end)
{
    struct stat status, program;
    const struct source *from = &page->sources[source];
    char *bytes = read_source(from, &status);
    fprintf(page->out, "<section aria-labelledby=\"s%zu\"><h3 class=name id=\"s%zu\">", source,
            source);
    page_text(page, from->file);
    fputs("</h3>\n", page->out);
    if (!bytes) {
        fputs("<p class=\"verdict grey\">This source cannot be read here (", page->out);
        page_text(page, *from->folder ? from->folder : "its folder is not known");
        fputs("): only the lines that the report names are listed.</p>\n", page->out);
        print_lost(page, source, begin, end);
        fputs("</section>\n", page->out);
        return;
    }
    if (stat(text(page->report, "program"), &program) == 0 && status.st_mtime > program.st_mtime)
        fputs("<p class=\"verdict grey\">This source is newer than the program: lines may have "
              "moved since it was built.</p>\n",
              page->out);
    fputs("<div class=code role=region tabindex=0 aria-label=\"", page->out);
    page_text(page, from->file);
    fputs("\"><div class=lines>\n", page->out);
    int line = 1;
    for (char *at = bytes; *at; line++) {
        char *stop = strchr(at, '\n');
        if (stop)
            *stop = 0;
        size_t next = begin;
        while (next < end && page->marks[next].line == line)
            next++;
        print_line(page, source, line, at, begin, next);
        begin = next;
        if (!stop)
            break;
        at = stop + 1;
    }
    fputs("</div></div>\n", page->out);
    print_lost(page, source, begin, end);
    fputs("</section>\n", page->out);
    free(bytes);
}

void sources_print(const struct page *page)
{
    for (size_t begin = 0, end; begin < page->mark_count; begin = end) {
        size_t source = page->marks[begin].source;
        for (end = begin; end < page->mark_count && page->marks[end].source == source;)
            end++;
        print_source(page, source, begin, end);
    }
}
