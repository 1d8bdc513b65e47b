#include "protocol/base/zipfian.h"

#include <math.h>

#include "protocol/base/assert.h"
#include "protocol/base/dice.h"

/* Rejection-inversion, by Hörmann and Derflinger, "Rejection-inversion to generate variates from
 * monotone discrete distributions", 1996: a point under the curve x^-theta is drawn by its area,
 * and kept when it is under the bar of the nearest rank. Here ranks begin at 1. */

/* The area under the curve from 1 to x, and its inverse. */
static double area(double theta, double x)
{
    return (pow(x, 1 - theta) - 1) / (1 - theta);
}

static double area_inverse(double theta, double area)
{
    return pow(1 + area * (1 - theta), 1 / (1 - theta));
}

void zipfian_init(struct zipfian *zipfian, double theta, uint64_t count)
{
    ASSERT(theta > 0 && theta < 1);
    ASSERT(count > 0);
    *zipfian = (struct zipfian){
        .count = count,
        .theta = theta,
        .low = area(theta, 1.5) - 1,
        .high = area(theta, (double)count + 0.5),
        .near = 2 - area_inverse(theta, area(theta, 2.5) - pow(2, -theta)),
    };
}

uint64_t zipfian_rank(const struct zipfian *zipfian, uint64_t *random)
{
    double theta = zipfian->theta;
    double most = (double)zipfian->count;
    for (;;) {
        double unit = dice_unit(dice_roll(random));
        double at = zipfian->high + unit * (zipfian->low - zipfian->high);
        double x = area_inverse(theta, at);
        double rank = floor(x + 0.5);
        rank = rank < 1 ? 1 : rank > most ? most : rank;
        /* Three in four are kept at least, so this ends. */
        if (rank - x <= zipfian->near || at >= area(theta, rank + 0.5) - pow(rank, -theta)) {
            uint64_t found = (uint64_t)rank - 1;
            return found < zipfian->count ? found : zipfian->count - 1;
        }
    }
}
