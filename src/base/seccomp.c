/* See seccomp.h. The number of a call is looked up in a balanced tree of comparisons, a dozen steps
 * deep at most; newer kernels remember the result for calls whose arguments do not matter. */
#include "base/seccomp.h"

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__) && !defined(__ILP32__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define NATIVE AUDIT_ARCH_I386
#elif defined(__aarch64__) && defined(__AARCH64EB__)
#define NATIVE 0
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#elif defined(__arm__) && defined(__ARMEB__)
#define NATIVE AUDIT_ARCH_ARMEB
#elif defined(__arm__)
#define NATIVE AUDIT_ARCH_ARM
#elif defined(__mips__) && defined(__mips64)
#define NATIVE 0
#elif defined(__mips__) && defined(__MIPSEL__)
#define NATIVE AUDIT_ARCH_MIPSEL
#elif defined(__mips__)
#define NATIVE AUDIT_ARCH_MIPS
#elif defined(__s390x__)
#define NATIVE AUDIT_ARCH_S390X
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define NATIVE AUDIT_ARCH_PPC64LE
#else
#define NATIVE 0 /* no filter there */
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LOW_WORD 4
#else
#define LOW_WORD 0
#endif

#ifdef __s390x__
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOOSE true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LOOSE true
#endif
#endif
#ifndef LOOSE
#define LOOSE false
#endif

const bool seccomp_is_loose = LOOSE;

#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | \
		CLONE_NEWCGROUP)
#define FOREIGN_FROM 0x40000000u /* numbers of x32, and the -1 of a tracer */
#define CODE_MAX 2048
#define EDGES_MAX 1024

/* What comes of a call: a verdict, or one that depends on an argument. */
enum leaf {
	ALLOW,
	UNKNOWN,
	REFUSE,
	END,
	LOOK_SOCKET,
	LOOK_CLONE,
	LOOK_PRCTL,
	LOOK_IOCTL,
	LOOK_PROT
};

struct edge {
	uint32_t from; /* this number and those above */
	enum leaf leaf;
};

struct filter {
	unsigned calls;
	struct edge edges[EDGES_MAX];
	size_t n_edges;
	struct sock_filter code[CODE_MAX];
	unsigned short n;
};

/* ---- which call gets what ---- */

static enum leaf look(int number)
{
	switch (number) {
	case __NR_socket:
		return LOOK_SOCKET;
	case __NR_clone:
		return LOOK_CLONE;
	case __NR_prctl:
		return LOOK_PRCTL;
	case __NR_ioctl:
		return LOOK_IOCTL;
#if defined(__NR_mmap) && !defined(__s390x__) && !defined(__i386__)
	case __NR_mmap: /* there it takes a pointer to its arguments */
#endif
#ifdef __NR_mmap2
	case __NR_mmap2:
#endif
	case __NR_mprotect:
		return LOOK_PROT;
	default:
		return ALLOW;
	}
}

static enum leaf leaf_of(unsigned calls, int number, unsigned groups)
{
	if (groups & CALLS_ABSENT)
		return UNKNOWN;
	if (groups & calls)
		return look(number);
	if (groups & CALLS_DANGER)
		return calls & CALLS_OTHERS ? REFUSE : END;
	if (groups & CALLS_USERS)
		return REFUSE;
	if (calls & CALLS_OTHERS)
		return look(number);
	return groups & CALLS_EXEC ? END : REFUSE;
}

static int by_number(const void *a, const void *b)
{
	int x = ((const struct seccomp_row *)a)->number,
	    y = ((const struct seccomp_row *)b)->number;
	return (x > y) - (x < y);
}

static void add_edge(struct filter *f, uint32_t from, enum leaf leaf)
{
	if (f->n_edges && f->edges[f->n_edges - 1].from == from)
		f->n_edges--;
	if (f->n_edges && f->edges[f->n_edges - 1].leaf == leaf)
		return;
	assert(f->n_edges < EDGES_MAX);
	f->edges[f->n_edges++] = (struct edge){from, leaf};
}

static int add_edges(struct filter *f)
{
	enum leaf rest = f->calls & CALLS_OTHERS ? ALLOW : UNKNOWN;
	struct seccomp_row *rows = calloc(seccomp_n_rows, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < seccomp_n_rows; i++)
		rows[i] = seccomp_rows[i];
	qsort(rows, seccomp_n_rows, sizeof(*rows), by_number);
	add_edge(f, 0, rest);
	for (size_t i = 0, end; i < seccomp_n_rows; i = end) {
		unsigned groups = 0;
		for (end = i; end < seccomp_n_rows && rows[end].number == rows[i].number; end++)
			groups |= rows[end].groups;
		if (rows[i].number < 0)
			continue;
		add_edge(f, (uint32_t)rows[i].number, leaf_of(f->calls, rows[i].number, groups));
		add_edge(f, (uint32_t)rows[i].number + 1, rest);
	}
	add_edge(f, FOREIGN_FROM, UNKNOWN);
	free(rows);
	return 0;
}

/* ---- its code ---- */

static void emit(struct filter *f, struct sock_filter s)
{
	assert(f->n < CODE_MAX);
	f->code[f->n++] = s;
}

static void emit_load(struct filter *f, size_t offset)
{
	emit(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void emit_return(struct filter *f, uint32_t what)
{
	emit(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what));
}

static void load_arg(struct filter *f, unsigned i)
{
	emit_load(f, offsetof(struct seccomp_data, args) + i * sizeof(uint64_t) + LOW_WORD);
}

/* Return `what` if the loaded word compares (BPF_JEQ, BPF_JSET) with `value`; else go on. */
static void emit_if(struct filter *f, uint16_t how, uint32_t value, uint32_t what)
{
	emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_K | how, value, 0, 1));
	emit_return(f, what);
}

#define REFUSED (SECCOMP_RET_ERRNO | EPERM)

static void emit_socket(struct filter *f)
{
	static const uint32_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
	unsigned n = f->calls & (CALLS_NET | CALLS_OTHERS) ? 4 : 1;
	load_arg(f, 0);
	for (unsigned i = 0; i < n; i++)
		emit_if(f, BPF_JEQ, families[i], SECCOMP_RET_ALLOW);
	emit_return(f, SECCOMP_RET_ERRNO | EAFNOSUPPORT);
}

static void emit_clone(struct filter *f)
{
	load_arg(f, CLONE_FLAGS);
	emit_if(f, BPF_JSET, NAMESPACES, REFUSED);
	if (!(f->calls & (CALLS_CHILDREN | CALLS_OTHERS))) {
		emit_if(f, BPF_JSET, CLONE_THREAD, SECCOMP_RET_ALLOW);
		emit_return(f, REFUSED);
	}
	emit_return(f, SECCOMP_RET_ALLOW);
}

/* Once not dumpable, for good. */
static void emit_prctl(struct filter *f)
{
	load_arg(f, 0);
	emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_DUMPABLE, 1, 0));
	emit_return(f, SECCOMP_RET_ALLOW);
	load_arg(f, 1);
	emit_if(f, BPF_JEQ, 0, SECCOMP_RET_ALLOW);
	emit_return(f, REFUSED);
}

/* Typing, or pasting, into the terminal that somebody started us from. */
static void emit_ioctl(struct filter *f)
{
	load_arg(f, 1);
	emit_if(f, BPF_JEQ, TIOCSTI, REFUSED);
	emit_if(f, BPF_JEQ, TIOCLINUX, REFUSED);
	emit_return(f, SECCOMP_RET_ALLOW);
}

/* Memory is writable or executable, never both. Interpreters of others may want it. */
static void emit_prot(struct filter *f)
{
	if (!(f->calls & CALLS_OTHERS)) {
		load_arg(f, 2);
		emit(f, (struct sock_filter)BPF_STMT(
				BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC));
		emit_if(f, BPF_JEQ, PROT_WRITE | PROT_EXEC, REFUSED);
	}
	emit_return(f, SECCOMP_RET_ALLOW);
}

static void emit_leaf(struct filter *f, enum leaf leaf)
{
	bool loose = LOOSE && leaf != LOOK_SOCKET;
	switch (loose && leaf > END ? ALLOW : leaf) {
	case ALLOW:
		emit_return(f, SECCOMP_RET_ALLOW);
		break;
	case UNKNOWN:
		emit_return(f, SECCOMP_RET_ERRNO | ENOSYS);
		break;
	case REFUSE:
		emit_return(f, REFUSED);
		break;
	case END:
		emit_return(f, SECCOMP_RET_KILL_PROCESS);
		break;
	case LOOK_SOCKET:
		emit_socket(f);
		break;
	case LOOK_CLONE:
		emit_clone(f);
		break;
	case LOOK_PRCTL:
		emit_prctl(f);
		break;
	case LOOK_IOCTL:
		emit_ioctl(f);
		break;
	case LOOK_PROT:
		emit_prot(f);
		break;
	}
}

/* A conditional jump reaches 255 instructions, so the right half is jumped to by a plain one. */
static void emit_tree(struct filter *f, const struct edge *edges, size_t n)
{
	if (n == 1) {
		emit_leaf(f, edges->leaf);
		return;
	}
	size_t half = n / 2;
	emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, edges[half].from, 0, 1));
	unsigned jump = f->n;
	emit(f, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
	emit_tree(f, edges, half);
	f->code[jump].k = f->n - jump - 1;
	emit_tree(f, edges + half, n - half);
}

static int make_code(struct filter *f)
{
	int rc = add_edges(f);
	if (rc < 0)
		return rc;
	emit_load(f, offsetof(struct seccomp_data, arch));
	emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0));
	emit_return(f, SECCOMP_RET_KILL_PROCESS);
	emit_load(f, offsetof(struct seccomp_data, nr));
	emit_tree(f, f->edges, f->n_edges);
	return 0;
}

int seccomp_limit(unsigned calls, struct err *e)
{
	struct filter *f = calloc(1, sizeof(*f));
	if (!f)
		return err_sys(e, -ENOMEM, "cannot limit system calls");
	f->calls = calls | CALLS_ALWAYS;
	if (LOOSE)
		f->calls |= CALLS_FILES | CALLS_THREADS | CALLS_CHILDREN | CALLS_SANITIZER;
	int rc = NATIVE ? make_code(f) : -ENOSYS;
	struct sock_fprog prog = {.len = f->n, .filter = f->code};
	if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = -errno;
	if (rc == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0)
		rc = errno == EINVAL ? -ENOSYS : -errno;
	free(f);
	return rc < 0 ? err_sys(e, rc, "cannot limit system calls") : 0;
}
