/* embed.c - writes web_assets.c: embed OUTPUT ROOT FILE...; a FILE is a path below ROOT.
 *
 * A build tool: it runs once per build, on trusted files, and stops at the first error. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const types[][2] = {
  {".html", "text/html; charset=utf-8"},
  {".css", "text/css; charset=utf-8"},
  {".js", "text/javascript; charset=utf-8"},
  {".json", "application/json"},
  {".svg", "image/svg+xml"},
  {".png", "image/png"},
  {".ico", "image/x-icon"},
  {".txt", "text/plain; charset=utf-8"},
};

static _Noreturn void stop(const char *path, const char *why)
{
  (void)fprintf(stderr, "embed: %s: %s\n", path, why);
  exit(1);
}

static const char *type_of(const char *path)
{
  const char *dot = strrchr(path, '.');
  for (size_t i = 0; dot != NULL && i < sizeof types / sizeof types[0]; i++) {
    if (strcmp(dot, types[i][0]) == 0) {
      return types[i][1];
    }
  }
  stop(path, "no content type for this name");
}

/* Writes the bytes of one file as an array and returns their count. */
static size_t write_data(FILE *out, const char *root, const char *path, int index)
{
  char full[4096];
  int length = snprintf(full, sizeof full, "%s/%s", root, path);
  if (length < 0 || (size_t)length >= sizeof full) {
    stop(path, "the path is too long");
  }
  FILE *in = fopen(full, "rb");
  if (in == NULL) {
    stop(full, strerror(errno));
  }
  (void)fprintf(out, "static const unsigned char data_%d[] = {", index);
  size_t size = 0;
  for (int byte = fgetc(in); byte != EOF; byte = fgetc(in), size++) {
    (void)fprintf(out, "%s%d,", size % 24 == 0 ? "\n  " : "", byte);
  }
  /* One byte more than the file: C17 has no empty arrays. */
  (void)fprintf(out, "0};\n");
  if (ferror(in) != 0 || fclose(in) != 0) {
    stop(full, "read error");
  }
  return size;
}

static int compare(const void *a, const void *b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int main(int argc, char **argv)
{
  if (argc < 3) {
    stop("usage", "embed OUTPUT ROOT FILE...");
  }
  char **files = argv + 3;
  int count = argc - 3;
  size_t *sizes = calloc((size_t)count + 1, sizeof *sizes);
  FILE *out = fopen(argv[1], "wb");
  if (out == NULL || sizes == NULL) {
    stop(argv[1], strerror(errno));
  }
  qsort(files, (size_t)count, sizeof *files, compare);
  (void)fprintf(out, "/* Generated from web/ by embed.c. */\n#include \"web_assets.h\"\n\n");
  for (int i = 0; i < count; i++) {
    sizes[i] = write_data(out, argv[2], files[i], i);
  }
  (void)fprintf(out, "const struct web_asset web_assets[] = {\n");
  for (int i = 0; i < count; i++) {
    (void)fprintf(out, "  {\"%s\", \"%s\", data_%d, %zu},\n", files[i], type_of(files[i]), i,
                  sizes[i]);
  }
  (void)fprintf(out, "  {NULL, NULL, NULL, 0},\n};\nconst size_t web_assets_count = %d;\n", count);
  free(sizes);
  if (ferror(out) != 0 || fclose(out) != 0) {
    stop(argv[1], "write error");
  }
  return 0;
}
