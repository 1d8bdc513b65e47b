/*
 * dice.h: seeded random numbers for ids, loads and their data: SplitMix64. Nothing that must not be
 * guessed is made with it.
 *
 * Owner: the caller has the state, one for each thread.
 */
#ifndef FRESHET_PROTOCOL_BASE_DICE_H
#define FRESHET_PROTOCOL_BASE_DICE_H

#include <stdint.h>

#define DICE_STEP 0x9e3779b97f4a7c15u

/* A number that looks random, the same for the same value; no two values share one. */
static inline uint64_t dice_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

/* 64 random bits. */
static inline uint64_t dice_roll(uint64_t *state)
{
    *state += DICE_STEP;
    return dice_mix(*state);
}

/* Of such bits a number under count, without the bias of a remainder that would show. */
static inline uint64_t dice_below(uint64_t bits, uint64_t count)
{
    return (uint64_t)(((unsigned __int128)bits * count) >> 64);
}

/* Of such bits a number of 0 <= number < 1. */
static inline double dice_unit(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1.0p-53;
}

#endif
