/* The record of a case's observations, as the runner sees it. */
#pragma once

#define RECORD_LIMIT 16384u

void record_share(void); /* from now on shared with child processes */
void record_clear(void);
const char *record_text(unsigned *length);
