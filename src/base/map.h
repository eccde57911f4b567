/* A hash map from byte strings to pointers. Keys are copied; values belong to the caller.
 * The hash is seeded per map, so a peer that chooses keys cannot choose collisions. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct map;

struct map *map_new(void);
/* `free_value` may be NULL. */
void map_free(struct map *m, void (*free_value)(void *));
size_t map_count(const struct map *m);

void *map_get(const struct map *m, const char *key);
void *map_get_n(const struct map *m, const void *key, size_t n);
/* Returns the value that stood there before, or NULL. `value` must not be NULL. */
void *map_put(struct map *m, const char *key, void *value);
void *map_put_n(struct map *m, const void *key, size_t n, void *value);
/* Returns the value removed, or NULL. */
void *map_remove(struct map *m, const char *key);
void *map_remove_n(struct map *m, const void *key, size_t n);

/* Walk: start with *pos = 0; NULL ends. The map must not change meanwhile. */
void *map_next(const struct map *m, size_t *pos, const char **key);
