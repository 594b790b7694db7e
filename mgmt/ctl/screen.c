/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* ppoll */
#include "mgmt/ctl/screen.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static struct termios saved;
static bool opened;
static volatile sig_atomic_t leaving;

static void on_signal(int number)
{
	if (number != SIGWINCH)
		leaving = 1;
}

static void write_all(const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = write(STDOUT_FILENO, text, size);

		if (n <= 0)
			return;
		text += n;
		size -= (size_t)n;
	}
}

void sp_screen_close(void)
{
	static const char leave[] = "\x1b[?7h\x1b[?25h\x1b[?1049l"; /* wrapping and cursor on, the former screen */

	if (!opened)
		return;
	opened = false;
	write_all(leave, sizeof(leave) - 1);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
}

bool sp_screen_open(void)
{
	static const char enter[] = "\x1b[?1049h\x1b[?25l\x1b[?7l";
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
	struct sigaction action = {.sa_handler = on_signal};
	struct termios raw;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &saved) != 0)
		return false;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	raw = saved;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) != 0)
		return false;
	opened = true;
	atexit(sp_screen_close);
	write_all(enter, sizeof(enter) - 1);
	return true;
}

bool sp_screen_wait(unsigned int ms)
{
	const struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	struct pollfd key = {.fd = STDIN_FILENO, .events = POLLIN};
	int n;

	if (leaving)
		return true;
	n = ppoll(&key, opened ? 1 : 0, &timeout, NULL);
	if (n > 0) {
		char c[16];
		ssize_t got = read(STDIN_FILENO, c, sizeof(c));

		/* A terminal that hung up reads as its end. */
		if (got <= 0)
			return true;
		for (ssize_t i = 0; i < got; i++)
			if (c[i] == 'q' || c[i] == 'Q' || c[i] == 3)
				return true;
	}
	return leaving != 0;
}

void sp_screen_size(unsigned int *rows, unsigned int *columns)
{
	struct winsize size;

	*rows = *columns = 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
		*rows = size.ws_row;
		*columns = size.ws_col;
	}
}
