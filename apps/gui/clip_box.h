// A vertical box of many children that draws only those that its scrolled window shows: a frame costs what is seen, not what is there.
#ifndef PM_CLIP_BOX_H
#define PM_CLIP_BOX_H

#include <gtk/gtk.h>

GtkWidget *pm_gui_clip_box_new(int spacing);

#endif
