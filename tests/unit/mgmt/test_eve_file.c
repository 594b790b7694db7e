/* SPDX-License-Identifier: BSD-3-Clause */
/* The event file: no line is lost by rotation, none is torn, and what a full disk costs is said and counted. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mgmt/eve_file.h"

#define SEC ((uint64_t)1000 * 1000 * 1000)

static char folder[] = "/tmp/sptest_file_XXXXXX", path[64];
static struct sp_eve_file file;

static const char *numbered(unsigned int n)
{
	static char text[80];

	if (n == 0)
		return path;
	snprintf(text, sizeof(text), "%s.%u", path, n);
	return text;
}

static int setup(void **state)
{
	(void)state;
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/eve.json", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sp_eve_file_close(&file);
	for (unsigned int n = 0; n < 10; n++)
		unlink(numbered(n));
	return rmdir(folder);
}

/* A block of `lines` lines of 10 bytes, numbered from `first`. */
static void write_block(unsigned int first, unsigned int lines, uint64_t now_ns)
{
	char block[10000 + 1];

	for (unsigned int i = 0; i < lines; i++)
		snprintf(block + 10 * i, 11, "L%08u\n", first + i);
	sp_eve_file_write(&file, block, (size_t)10 * lines, lines, now_ns);
}

/* Numbered lines of a file, which must follow each other from *next on, but for what a `lost` line says. -1 without the file. */
static int read_block(const char *name, unsigned int *next)
{
	FILE *in = fopen(name, "r");
	char line[256];
	int n = 0;

	if (!in)
		return -1;
	while (fgets(line, sizeof(line), in)) {
		const char *lost = strstr(line, "\"lost\":");

		if (lost) {
			*next += (unsigned int)atoi(lost + 7);
			assert_int_equal(line[0], '{'); /* the torn line before it has an end of its own */
			assert_non_null(strstr(line, "\"event_type\":\"lost\""));
			assert_non_null(strstr(line, "\"where\":\"file\""));
			continue;
		}
		if (line[0] != 'L' || strlen(line) != 10)
			continue; /* the torn one */
		assert_int_equal(atoi(line + 1), *next);
		(*next)++;
		n++;
	}
	fclose(in);
	return n;
}

static void rotation_keeps_every_line_and_only_so_many_files(void **state)
{
	unsigned int next = 0;
	struct stat st;

	(void)state;
	assert_int_equal(sp_eve_file_open(&file, path, 1000, 3), 0);
	for (unsigned int block = 0; block < 12; block++)
		write_block(block * 30, 30, 0); /* three blocks of 300 bytes fit */
	assert_int_equal(file.counters.rotated, 3);
	assert_int_equal(file.counters.written, 360);
	for (int n = 3; n >= 0; n--) {
		assert_int_equal(read_block(numbered((unsigned int)n), &next), 90);
		assert_int_equal(stat(numbered((unsigned int)n), &st), 0);
		assert_true(st.st_size <= 1000);
	}
	assert_int_equal(next, 360);
	write_block(360, 30, 0);
	assert_int_equal(access(numbered(4), F_OK), -1);
	next = 90;
	for (int n = 3; n >= 0; n--)
		read_block(numbered((unsigned int)n), &next);
	assert_int_equal(next, 390);
}

static void the_bounds_of_keep_and_size(void **state)
{
	unsigned int next = 60;

	(void)state;
	/* Nothing is kept: the full file goes. A block over the size has a file for itself. */
	assert_int_equal(sp_eve_file_open(&file, path, 500, 0), 0);
	write_block(0, 30, 0);
	write_block(30, 30, 0);
	write_block(60, 100, 0);
	assert_int_equal(read_block(path, &next), 100);
	assert_int_equal(access(numbered(1), F_OK), -1);
	sp_eve_file_close(&file);
	unlink(path);
	/* No size: no rotation. */
	assert_int_equal(sp_eve_file_open(&file, path, 0, 3), 0);
	for (unsigned int block = 0; block < 100; block++)
		write_block(block * 100, 100, 0);
	assert_int_equal(file.counters.rotated, 0);
	next = 0;
	assert_int_equal(read_block(path, &next), 10000);
}

/* What stood in the file at the start counts, too. */
static void a_file_goes_on_where_it_was(void **state)
{
	unsigned int next = 0;

	(void)state;
	assert_int_equal(sp_eve_file_open(&file, path, 1000, 1), 0);
	write_block(0, 90, 0);
	sp_eve_file_close(&file);
	assert_int_equal(sp_eve_file_open(&file, path, 1000, 1), 0);
	write_block(90, 20, 0);
	assert_int_equal(read_block(numbered(1), &next), 90);
	assert_int_equal(read_block(path, &next), 20);
}

/* logrotate renamed the file and its signal is not here yet, or it copied and truncated it. */
static void what_others_rotated_is_not_rotated_again(void **state)
{
	unsigned int next = 0;
	FILE *fresh;

	(void)state;
	assert_int_equal(sp_eve_file_open(&file, path, 1000, 3), 0);
	write_block(0, 90, 0);
	assert_int_equal(rename(path, numbered(7)), 0);
	fresh = fopen(path, "w"); /* logrotate's `create` */
	assert_non_null(fresh);
	fclose(fresh);
	write_block(90, 90, 0);
	assert_int_equal(access(numbered(1), F_OK), -1);
	assert_int_equal(read_block(numbered(7), &next), 90);
	assert_int_equal(read_block(path, &next), 90);
	assert_int_equal(truncate(path, 0), 0);
	write_block(180, 90, 0);
	assert_int_equal(access(numbered(1), F_OK), -1);
	assert_int_equal(read_block(path, &next), 90);
}

static void a_rotation_that_fails_goes_on_in_the_old_file(void **state)
{
	unsigned int next = 0;

	(void)state;
	assert_int_equal(sp_eve_file_open(&file, path, 1000, 1), 0);
	assert_int_equal(mkdir(numbered(1), 0700), 0);
	write_block(0, 90, SEC);
	write_block(90, 90, SEC);
	write_block(180, 90, SEC);
	assert_int_equal(file.counters.write_errors, 1); /* it is not tried at every write */
	assert_int_equal(sp_eve_file_failing(&file), 0);
	assert_int_equal(read_block(path, &next), 270);
	assert_int_equal(rmdir(numbered(1)), 0);
	write_block(270, 30, 20 * SEC);
	assert_int_equal(file.counters.rotated, 1);
	next = 270;
	assert_int_equal(read_block(path, &next), 30);
}

/* A limit of the file's size stands for the full disk: write() comes as far as it does, and then refuses. */
static void limit(rlim_t bytes)
{
	struct rlimit all;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	all.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
}

static void a_full_disk_costs_lines_and_says_how_many(void **state)
{
	unsigned int next = 0;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(sp_eve_file_open(&file, path, 0, 0), 0);
	write_block(0, 10, SEC);
	limit(255); /* in the midst of a line */
	write_block(10, 30, SEC);
	write_block(40, 5, SEC);
	assert_int_equal(sp_eve_file_failing(&file), EFBIG);
	assert_int_equal(file.counters.written, 25);
	assert_int_equal(file.counters.unwritten, 20);
	sp_eve_file_tick(&file, SEC + SEC / 2, false); /* too early for another try */
	limit(RLIM_INFINITY);
	assert_int_equal(sp_eve_file_failing(&file), EFBIG);
	/* Nothing happens, and still it finds out. */
	sp_eve_file_tick(&file, 3 * SEC, false);
	assert_int_equal(sp_eve_file_failing(&file), 0);
	write_block(45, 10, 3 * SEC);
	assert_int_equal(read_block(path, &next), 35);
	assert_int_equal(next, 55); /* read ones and lost ones */
	assert_int_equal(file.counters.unwritten, 20);
}

static void without_a_path_nothing_happens(void **state)
{
	(void)state;
	assert_int_equal(sp_eve_file_open(&file, NULL, 1000, 3), 0);
	write_block(0, 90, 0);
	sp_eve_file_reopen(&file, 0);
	sp_eve_file_tick(&file, SEC, true);
	assert_int_equal(file.counters.written + file.counters.unwritten + file.counters.write_errors, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rotation_keeps_every_line_and_only_so_many_files, setup, teardown),
		cmocka_unit_test_setup_teardown(the_bounds_of_keep_and_size, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_goes_on_where_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(what_others_rotated_is_not_rotated_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_rotation_that_fails_goes_on_in_the_old_file, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_costs_lines_and_says_how_many, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_path_nothing_happens, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
