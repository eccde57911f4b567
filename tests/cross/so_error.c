/* Preloaded under qemu-user, which hands out SO_ERROR with the numbers of the machine that it runs
 * on. MIPS has numbers of its own, so programs would see errors that do not exist there. */
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

/* See getsockopt(2). */
int getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
	static const int from[] = {101, 103, 104, 110, 111, 113};
	static const int to[] = {
		ENETUNREACH, ECONNABORTED, ECONNRESET, ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH};
	int (*real)(int, int, int, void *, socklen_t *);
	*(void **)&real = dlsym(RTLD_NEXT, "getsockopt");
	int rc = real(fd, level, name, value, n), *code = value;
	for (size_t i = 0; !rc && i < sizeof(from) / sizeof(*from); i++) {
		if (level == SOL_SOCKET && name == SO_ERROR && *code == from[i]) {
			*code = to[i];
			break;
		}
	}
	return rc;
}

/* What the headers call it where time has 64 bits and words have 32. */
int __getsockopt64(int fd, int level, int name, void *value, socklen_t *n);
int __getsockopt64(int fd, int level, int name, void *value, socklen_t *n)
{
	return getsockopt(fd, level, name, value, n);
}
