/* The report as one page for a browser: the summary (page.c), then the source (page_source.c). */
#ifndef PALISADE_TOOLS_PAGE_H
#define PALISADE_TOOLS_PAGE_H

#include <jansson.h>
#include <stdio.h>

/* A read or write, or an item that stands in the way, on one line of a source. */
struct mark {
    size_t source;
    int line;
    int rank; /* 0: what a person must see first */
    char letter;
    const char *style; /* CSS class */
    char *text;
};

struct source {
    const char *file;   /* as the report names it */
    const char *folder; /* "": unknown */
};

struct page {
    FILE *out;
    const json_t *report;
    struct source *sources;
    size_t source_count;
    struct mark *marks; /* by source, line, rank */
    size_t mark_count;
};

/* Text of the report or of a source: markup, control characters and broken UTF-8 lose their power.
 */
void page_text(const struct page *page, const char *text);

/* Fills sources and marks from page->report. */
void sources_collect(struct page *page);
void sources_free(struct page *page);
/* "nat.c:12", a link when that line is on the page. `unit`: the file of the unit that names it. */
void source_link(const struct page *page, const char *unit, const char *file, int line);
/* One section per source, each line marked with what happens on it. */
void sources_print(const struct page *page);

/* The CSS class of a fate's colour. */
const char *fate_style(const char *fate);
/* What a person should look at has the lower rank; 0 is left for what stands in the way. */
int fate_rank(const char *fate);

#endif
