// One block of Markdown as Pango markup.
#ifndef PM_MARKDOWN_PANGO_H
#define PM_MARKDOWN_PANGO_H

// Always valid markup, whatever the text: HTML is shown as it stands, links lead to http, https and mailto alone.
char *pm_gui_markup(const char *markdown);

#endif
