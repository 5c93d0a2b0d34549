/* A mathematical library of another make: every result is the neighbour of what this machine's library returns.
   Loaded before the others by LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>

#define OTHER(type, next, y) (isfinite(y) && (y) != 0 ? next(y, (type)INFINITY) : (y))
#define ONE(type, name, next)                                   \
    type name(type x) {                                         \
        static type (*real)(type);                              \
        if (!real) real = (type (*)(type))dlsym(RTLD_NEXT, #name); \
        type y = real(x);                                       \
        return OTHER(type, next, y);                            \
    }
#define TWO(type, name, next)                                   \
    type name(type x, type z) {                                 \
        static type (*real)(type, type);                        \
        if (!real) real = (type (*)(type, type))dlsym(RTLD_NEXT, #name); \
        type y = real(x, z);                                    \
        return OTHER(type, next, y);                            \
    }
#define BOTH(kind, name) kind(double, name, nextafter) kind(float, name##f, nextafterf)

BOTH(ONE, exp) BOTH(ONE, exp2) BOTH(ONE, expm1) BOTH(ONE, log) BOTH(ONE, log2) BOTH(ONE, log10) BOTH(ONE, log1p)
BOTH(ONE, cbrt) BOTH(ONE, sin) BOTH(ONE, cos) BOTH(ONE, tan) BOTH(ONE, asin) BOTH(ONE, acos) BOTH(ONE, atan)
BOTH(ONE, sinh) BOTH(ONE, cosh) BOTH(ONE, tanh) BOTH(ONE, asinh) BOTH(ONE, acosh) BOTH(ONE, atanh)
BOTH(ONE, erf) BOTH(ONE, erfc) BOTH(ONE, lgamma) BOTH(ONE, tgamma)
BOTH(TWO, pow) BOTH(TWO, atan2) BOTH(TWO, hypot)

#define PAIR(type, name, next)                                                              \
    void name(type x, type *s, type *c) {                                                   \
        static void (*real)(type, type *, type *);                                          \
        if (!real) real = (void (*)(type, type *, type *))dlsym(RTLD_NEXT, #name);         \
        real(x, s, c);                                                                      \
        *s = OTHER(type, next, *s);                                                         \
        *c = OTHER(type, next, *c);                                                         \
    }
BOTH(PAIR, sincos)
