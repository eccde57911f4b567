# seccomp_calls.txt → seccomp_rows.c
BEGIN {
	print "/* Made from seccomp_calls.txt. */"
	print "#include \"base/seccomp.h\"\n\n#include <stddef.h>\n#include <sys/syscall.h>\n"
	print "const struct seccomp_row seccomp_rows[] = {"
}
/^[a-z]/ {
	for (i = 2; i <= NF; i++)
		printf "#ifdef __NR_%s\n\t{__NR_%s, CALLS_%s},\n#endif\n", $i, $i, toupper($1)
}
END {
	print "\t{-1, 0},\n};\nconst size_t seccomp_n_rows = sizeof(seccomp_rows) / sizeof(*seccomp_rows);"
}
