// The page at "/": page.html, put into the program by the build.
#ifndef PM_PAGE_H
#define PM_PAGE_H

#include <stddef.h>

extern const unsigned char pm_page[];
extern const size_t pm_page_bytes;

#endif
