/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target of what a backend answers to a health check: the verdict does not depend on how the answer is cut into pieces, and is
 * good only for what a second, slower reading of the whole first line finds good.
 *
 * Input: the status that is asked for in hundreds (0: any good one), the size of pieces, then the answer.
 */
/* The source itself: taking bytes is its own, a socket would only be slower. */
#include "mgmt/health_check.c" /* NOLINT(bugprone-suspicious-include) */

static enum sp_check_step ask(struct sp_check *check, uint16_t status, const uint8_t *answer, size_t size, size_t piece)
{
	enum sp_check_step step = SP_CHECK_READABLE;

	*check = (struct sp_check){.fd = -1, .status = status};
	for (size_t at = 0; at < size && step == SP_CHECK_READABLE; at += piece) {
		size_t room = SP_CHECK_LINE_MAX - check->received, n = size - at < piece ? size - at : piece;

		step = take(check, (const char *)answer + at, n < room ? n : room);
	}
	return step;
}

/* Whether the answer is "HTTP/1.N SSS", then the end of the line, or a blank and what is left of it. */
static bool is_good(uint16_t status, const uint8_t *answer, size_t size)
{
	const uint8_t *end = memchr(answer, '\n', size < SP_CHECK_LINE_MAX ? size : SP_CHECK_LINE_MAX);
	char line[16] = "", minor, after;
	unsigned int got;

	if (end == NULL || end - answer < 12)
		return false;
	memcpy(line, answer, (size_t)(end + 1 - answer) < 13 ? (size_t)(end + 1 - answer) : 13);
	for (unsigned int i = 9; i < 12; i++)
		if (line[i] < '0' || line[i] > '9')
			return false;
	if (sscanf(line, "HTTP/1.%c %3u%c", &minor, &got, &after) != 3 || line[8] != ' ' || minor < '0' || minor > '9')
		return false;
	if (after != ' ' && after != '\r' && after != '\n')
		return false;
	return status != 0 ? got == status : got >= 200 && got <= 399;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum sp_check_step whole, pieces;
	struct sp_check check;
	uint16_t status;
	char text[96];

	if (size < 3)
		return 0;
	status = (uint16_t)(data[0] % 6 * 100);
	whole = ask(&check, status, data + 2, size - 2, 1024);
	if ((whole == SP_CHECK_GOOD) != is_good(status, data + 2, size - 2))
		abort();
	if (whole == SP_CHECK_BAD &&
		(check.failure.kind == SP_CHECK_FAILURE_NONE || strlen(sp_check_failure_text(&check.failure, text, sizeof(text))) == 0))
		abort();
	pieces = ask(&check, status, data + 2, size - 2, data[1] + 1u);
	if ((pieces == SP_CHECK_GOOD) != (whole == SP_CHECK_GOOD))
		abort();
	return 0;
}
