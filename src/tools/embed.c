/* Build tool: files become one C source on standard output. Beside FILE there may be FILE.gz; it is
 * taken when it is smaller. The ETag is a hash of the bytes (FNV-1a, 64 bits): it tells versions
 * apart, nothing more. Runs on the building machine, needs libc alone.
 *
 *   embed HEADER TABLE FILE… >out.c     defines  const struct asset TABLE[], ended by a NULL name
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES (4u << 20)

struct bytes {
	unsigned char *p;
	size_t n;
};

static const struct {
	const char *end, *type;
} types[] = {
	{".css",         "text/css; charset=utf-8"       },
	{".html",        "text/html; charset=utf-8"      },
	{".ico",         "image/x-icon"                  },
	{".js",          "text/javascript; charset=utf-8"},
	{".json",        "application/json"              },
	{".png",         "image/png"                     },
	{".svg",         "image/svg+xml"                 },
	{".txt",         "text/plain; charset=utf-8"     },
	{".webmanifest", "application/manifest+json"     },
	{".woff2",       "font/woff2"                    },
};

static void fail(const char *what, const char *path)
{
	fprintf(stderr, "embed: %s: %s\n", path, what);
	exit(1);
}

static const char *type_of(const char *path)
{
	const char *dot = strrchr(path, '.');
	for (size_t i = 0; dot && i < sizeof(types) / sizeof(*types); i++) {
		if (strcmp(types[i].end, dot) == 0)
			return types[i].type;
	}
	fail("no content type is known for such a file", path);
	return NULL;
}

/* False when there is no such file. */
static int read_file(const char *path, struct bytes *b)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		return 0;
	b->p = malloc(FILE_MAX_BYTES);
	if (!b->p)
		fail("no memory", path);
	b->n = fread(b->p, 1, FILE_MAX_BYTES, f);
	if (ferror(f) || !feof(f))
		fail("cannot be read, or has more than 4 MiB", path);
	fclose(f);
	return 1;
}

static uint64_t hash_of(const struct bytes *b)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < b->n; i++)
		h = (h ^ b->p[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* With a NUL behind, so that text can be used as a string. */
static void put_bytes(char kind, int i, const struct bytes *b)
{
	printf("static const unsigned char %c%d[] = {", kind, i);
	for (size_t k = 0; k < b->n; k++)
		printf("%s%u,", k % 4096 ? "" : "\n", b->p[k]);
	puts("0};");
}

static void put_file(int i, const char *path, char *row, size_t size)
{
	struct bytes plain = {0}, packed = {0};
	const char *name = strrchr(path, '/'), *type = type_of(path);
	char gz[4096];
	if (!read_file(path, &plain))
		fail("cannot be opened", path);
	snprintf(gz, sizeof(gz), "%s.gz", path);
	int has_gz = read_file(gz, &packed) && packed.n < plain.n;
	put_bytes('f', i, &plain);
	if (has_gz)
		put_bytes('z', i, &packed);
	char zip[64] = "NULL, 0";
	if (has_gz)
		snprintf(zip, sizeof(zip), "z%d, %zu", i, packed.n);
	int n = snprintf(row, size, "\t{\"%s\", \"%s\", \"%016llx\", f%d, %zu, %s},\n",
		name ? name + 1 : path, type, (unsigned long long)hash_of(&plain), i, plain.n, zip);
	if (n < 0 || (size_t)n >= size)
		fail("its name is too long", path);
	free(plain.p);
	free(packed.p);
}

int main(int argc, char **argv)
{
	enum { ROW = 512 };
	if (argc < 4) {
		fputs("usage: embed HEADER TABLE FILE...\n", stderr);
		return 64;
	}
	int files = argc - 3;
	char *rows = calloc((size_t)files, ROW);
	if (!rows)
		fail("no memory", argv[0]);
	printf("/* Made by src/tools/embed.c. */\n#include \"%s\"\n\n#include <stddef.h>\n\n",
		argv[1]);
	for (int i = 0; i < files; i++)
		put_file(i, argv[i + 3], rows + i * ROW, ROW);
	printf("\nconst struct asset %s[] = {\n", argv[2]);
	for (int i = 0; i < files; i++)
		fputs(rows + i * ROW, stdout);
	puts("\t{NULL, NULL, NULL, NULL, 0, NULL, 0},\n};");
	free(rows);
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
