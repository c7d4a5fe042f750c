/* Names of error numbers and system calls. */
#pragma once

const char *error_name(int number);          /* "EBADF"; "E?" for an unknown number */
const char *call_of_case(const char *name);  /* "clock_gettime" for "clock_gettime_boot"; or NULL */
const char *call_at(unsigned index);         /* the system calls in order, then NULL */
