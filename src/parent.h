/* The parent process: binds, starts gate and steward under their own uids, starts them again when they
 * end, and reads nothing from anybody but signals (design decision 5). */
#pragma once

/* Descriptor numbers that children find after exec. */
#define PARENT_FD_PEER 3 /* their end of the gate–steward pair */
#define PARENT_FD_API 4	 /* gate: the API's listening socket */
#define PARENT_FD_FIRST 5 /* gate: listening sockets, as --tls N and --plain N say */

struct parent_opts {
	const char *conf_path;
	const char *libexec; /* where lanthorn-steward is */
};

/* Runs until SIGTERM or SIGINT. Returns the exit status: 0, 1, or 78 for a wrong configuration. */
int parent_run(const struct parent_opts *o);
