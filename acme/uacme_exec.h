/* The tiny program between steward and uacme: `lanthorn-steward --exec-uacme …` re-executes itself
 * as this, prepares the process as no parent can from outside, and becomes uacme. */
#pragma once

/* argv after "--exec-uacme": [--parent PID] [--ca FILE] [--lock FILE]… -- PROGRAM ARGS…
 *
 * - dies with its parent, gains no privilege by exec
 * - --lock: holds a POSIX record lock, which stays with the process across exec and goes when it
 * ends. A holder is what a killed steward left behind: its process group is killed first.
 * - --ca: FILE is the only authority, by UACME_CAINFO, which uacme knows from 1.7.6; before, by
 * lanthorn-uacme.so (uacme_help.c), which is loaded into it in any case
 * - of the files it reaches those of the system, itself, and the working folder; only that is
 * written
 *
 * Returns only on failure: 2, after one line on stderr. */
int uacme_exec(int argc, char *const argv[]);
