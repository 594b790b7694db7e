/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The terminal while `top` owns it: alternate screen, no echo, keys at once. It is given back however the process ends, except by SIGKILL.
 */
#ifndef SP_MGMT_CTL_SCREEN_H
#define SP_MGMT_CTL_SCREEN_H

#include <stdbool.h>

/* Takes the terminal and the signals that would end the process. False when standard input or output is none. */
bool sp_screen_open(void);

/* Gives it back; may be called twice. */
void sp_screen_close(void);

/*
 * Waits up to ms milliseconds; true when q, Ctrl-C or an ending signal asked to leave. Without sp_screen_open it only waits, or returns
 * early when the window changed its size.
 */
bool sp_screen_wait(unsigned int ms);

/* Rows and columns of the window; 0 and 0 when it is none. */
void sp_screen_size(unsigned int *rows, unsigned int *columns);

#endif
