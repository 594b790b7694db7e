/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory for tables, small and large: zeroed, aligned, whole, and given back. Without huge pages, as in every unit test. */
#include "dataplane/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <rte_memory.h>

#include "tests/unit/support/eal.h"

#define MB ((size_t)1 << 20)

static void takes_and_gives(void **unused)
{
	static const size_t sizes[] = {1, 64, 4096, 2 * MB - 1, 2 * MB, 2 * MB + 1, 5 * MB + 7, 64 * MB};

	(void)unused;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t align = 8; align <= 4096; align *= 8) {
			uint8_t *memory = sp_alloc("test", sizes[i], align, SOCKET_ID_ANY), any = 0;

			assert_non_null(memory);
			assert_int_equal((uintptr_t)memory % align, 0);
			for (size_t b = 0; b < sizes[i]; b++)
				any |= memory[b];
			assert_int_equal(any, 0);
			memset(memory, 0xa5, sizes[i]);
			sp_free(memory);
		}
	}
}

static void neighbours_do_not_overlap(void **unused)
{
	enum { N = 8 };
	uint8_t *memory[N];

	(void)unused;
	for (unsigned int i = 0; i < N; i++) {
		memory[i] = sp_alloc("test", 3 * MB, 64, SOCKET_ID_ANY);
		assert_non_null(memory[i]);
		memset(memory[i], (int)i + 1, 3 * MB);
	}
	for (unsigned int i = 0; i < N; i++) {
		assert_int_equal(memory[i][0], i + 1);
		assert_int_equal(memory[i][3 * MB - 1], i + 1);
		sp_free(memory[i]);
	}
}

/* Pages of this process, as the kernel counts them. */
static long pages(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long all = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld", &all), 1);
	fclose(file);
	return all;
}

#ifndef SP_ASAN
static void large_memory_goes_back_to_the_kernel(void **unused)
{
	long before = pages();

	(void)unused;
	for (unsigned int i = 0; i < 64; i++)
		sp_free(sp_alloc("test", 32 * MB, 64, SOCKET_ID_ANY));
	assert_in_range(pages() - before + 1024, 0, 2048);
}
#endif

static void nothing_and_too_much(void **unused)
{
	(void)unused;
	assert_true(pages() > 0);
	assert_null(sp_alloc("test", 0, 64, SOCKET_ID_ANY));
#ifndef SP_ASAN /* which ends a process that asks for too much */
	assert_null(sp_alloc("test", SIZE_MAX / 2, 64, SOCKET_ID_ANY));
#endif
	sp_free(NULL);
}

static int start(void **unused)
{
	(void)unused;
	sp_test_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_and_gives),
		cmocka_unit_test(neighbours_do_not_overlap),
#ifndef SP_ASAN
		cmocka_unit_test(large_memory_goes_back_to_the_kernel),
#endif
		cmocka_unit_test(nothing_and_too_much),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
