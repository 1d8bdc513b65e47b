/*
 * replay.c: a main for fuzz targets where libFuzzer is not linked.
 *
 * Runs LLVMFuzzerTestOneInput once over each file named on the command line, and over each file in
 * each folder named there. A target crashes on failure, so to end is to pass. A folder or file that
 * does not exist is said and passed over: a new target has no corpus yet.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_BYTES_MAX  4096
#define INPUT_BYTES_MAX (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* A target may prepare something once; libFuzzer calls this if it exists. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The buffer is exactly as large as the input, so that AddressSanitizer sees the first byte read
 * past its end. */
static int replay_stream(const char *path, FILE *stream, size_t size)
{
    uint8_t *data = malloc(size == 0 ? 1 : size);
    if (data == NULL) {
        fprintf(stderr, "%s: out of memory\n", path);
        return 1;
    }
    size_t size_read = fread(data, 1, size, stream);
    if (size_read != size) {
        fprintf(stderr, "%s: cannot be read\n", path);
        free(data);
        return 1;
    }
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

static int replay_file(const char *path, size_t size)
{
    if (size > INPUT_BYTES_MAX) {
        fprintf(stderr, "%s: larger than %u bytes\n", path, INPUT_BYTES_MAX);
        return 1;
    }
    FILE *stream = fopen(path, "rb");
    if (stream == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    /* Said first, so that a crash names its input. */
    printf("replay %s (%zu bytes)\n", path, size);
    fflush(stdout);
    int failures = replay_stream(path, stream, size);
    fclose(stream);
    return failures;
}

static int replay_folder(const char *path, unsigned *files)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    int failures = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char name[PATH_BYTES_MAX];
        struct stat info;
        int length = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (length < 0 || (size_t)length >= sizeof(name) || stat(name, &info) != 0) {
            fprintf(stderr, "%s/%s: cannot be opened\n", path, entry->d_name);
            failures++;
        } else if (S_ISREG(info.st_mode)) {
            failures += replay_file(name, (size_t)info.st_size);
            (*files)++;
        }
    }
    closedir(folder);
    return failures;
}

int main(int argc, char **argv)
{
    unsigned files = 0;
    int failures = 0;
    if (LLVMFuzzerInitialize != NULL) {
        LLVMFuzzerInitialize(&argc, &argv);
    }
    for (int i = 1; i < argc; i++) {
        struct stat info;
        if (stat(argv[i], &info) != 0) {
            printf("%s: nothing there to replay\n", argv[i]);
        } else if (S_ISDIR(info.st_mode)) {
            failures += replay_folder(argv[i], &files);
        } else {
            failures += replay_file(argv[i], (size_t)info.st_size);
            files++;
        }
    }
    printf("%u inputs replayed, %d could not be read\n", files, failures);
    return failures == 0 ? 0 : 1;
}
