/* The gate process: everything that faces the network, under its own uid. */
#pragma once

#define GATE_FDS_MAX 64
#define GATE_LOOPS_MAX 16

/* What the parent hands over. Descriptors are taken. Of each address there is one a loop, in their order. */
struct gate_opts {
	const char *conf_path;
	int steward_fd;
	int api_fd;
	int tls_fds[GATE_FDS_MAX], plain_fds[GATE_FDS_MAX];
	unsigned n_tls, n_plain;
};

/* Runs until SIGTERM. Returns the exit status: 0, 1, or 78 for a wrong configuration. */
int gate_run(const struct gate_opts *o);
