/* sim_leaks.h - a simulated crash leaves what was under way behind, as a real one would; the leak
 * checker is told so. A run without a crash is checked. */
#ifndef HOLDFAST_SIM_LEAKS_H
#define HOLDFAST_SIM_LEAKS_H

void sim_leaks_expected(void);

#endif
