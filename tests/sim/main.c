/*
 * sim: whole lives of an engine from one seed. See sim.h.
 *
 *     sim --seed N [--steps N] [--runs N] [--verbose]     runs seeds N, N + 1, …
 *     sim --seeds FILE                                    one seed a line; '#' begins a comment
 *
 * Exits with 1 at the first failure, which names the seed, the step and what is wrong.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

#define STEPS_DEFAULT 1500

struct options {
    uint64_t seed;
    uint64_t steps;
    uint64_t runs;
    const char *seeds;
    bool verbose;
};

static bool number_read(const char *text, uint64_t *out)
{
    char *end = NULL;
    *out = strtoull(text, &end, 10);
    return end != text && *end == '\0';
}

static bool options_read(int argc, char **argv, struct options *options)
{
    *options = (struct options){.seed = 1, .steps = STEPS_DEFAULT, .runs = 1};
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--verbose") == 0) {
            options->verbose = true;
        } else if (strcmp(argv[i], "--seeds") == 0 && has_value) {
            options->seeds = argv[++i];
        } else if (strcmp(argv[i], "--seed") == 0 && has_value) {
            if (!number_read(argv[++i], &options->seed)) {
                return false;
            }
        } else if (strcmp(argv[i], "--steps") == 0 && has_value) {
            if (!number_read(argv[++i], &options->steps)) {
                return false;
            }
        } else if (strcmp(argv[i], "--runs") == 0 && has_value) {
            if (!number_read(argv[++i], &options->runs)) {
                return false;
            }
        } else {
            return false;
        }
    }
    return options->steps > 0 && options->steps <= UINT32_MAX;
}

static void run(struct sim *sim, uint64_t seed, const struct options *options, uint64_t *hash)
{
    sim->verbose = options->verbose;
    sim_run(sim, seed, (uint32_t)options->steps);
    *hash = *hash * 31 + sim->hash;
    if (options->verbose) {
        printf("seed %" PRIu64 ": %" PRIu64 " lives, %" PRIu64 " steps, %" PRIu64
               " answers, hash %016" PRIx64 "\n",
               seed, sim->lives, sim->step, sim->answers, sim->hash);
        for (int i = 0; i < SIM_FOLLOWERS; i++) {
            const struct sim_follower *follower = &sim->followers[i];
            printf("    follower %d: %" PRIu64 " from memory, %" PRIu64
                   " from files, begun %" PRIu64 " times\n",
                   i, follower->from_memory, follower->from_files, follower->resets);
        }
        printf("    %" PRIu64 " slices\n", sim->slice.count);
        for (int i = 0; i < 32; i++) {
            if (sim->status_counts[i] > 0) {
                printf("    %s %" PRIu64 "\n", status_name((enum status)i), sim->status_counts[i]);
            }
        }
    }
}

static int run_file(struct sim *sim, const struct options *options, uint64_t *hash, uint64_t *count)
{
    FILE *file = fopen(options->seeds, "r");
    if (file == NULL) {
        perror(options->seeds);
        return 2;
    }
    char line[256];
    while (fgets(line, sizeof(line), file) != NULL) {
        char *end = NULL;
        uint64_t seed = strtoull(line, &end, 10);
        if (end != line) {
            run(sim, seed, options, hash);
            (*count)++;
        }
    }
    fclose(file);
    return 0;
}

int main(int argc, char **argv)
{
    struct options options;
    if (!options_read(argc, argv, &options)) {
        fprintf(stderr, "usage: sim --seed N [--steps N] [--runs N] [--verbose] | --seeds FILE\n");
        return 2;
    }
    struct sim *sim = malloc(sizeof(*sim));
    if (sim == NULL) {
        return 1;
    }
    uint64_t hash = 0;
    uint64_t count = options.runs;
    int result = 0;
    if (options.seeds != NULL) {
        count = 0;
        result = run_file(sim, &options, &hash, &count);
    } else {
        for (uint64_t i = 0; i < options.runs; i++) {
            run(sim, options.seed + i, &options, &hash);
        }
    }
    free(sim);
    printf("%" PRIu64 " runs of %" PRIu64 " steps, hash %016" PRIx64 "\n", count, options.steps,
           hash);
    return result;
}
