/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /openapi.yaml: the description of this API, as it was when this program was built.
 */
#include "mgmt/res.h"

/* Built from the top folder of the project, as the Makefile does. */
__asm__(".section .rodata, \"a\", @progbits\n"
	".global sp_openapi_size\n"
	".balign 8\n"
	"sp_openapi_size: .quad 2f - 1f\n"
	".global sp_openapi_text\n"
	"sp_openapi_text:\n"
	"1: .incbin \"mgmt/openapi.yaml\"\n"
	"2: .byte 0\n"
	".previous\n");

extern const char sp_openapi_text[];
extern const uint64_t sp_openapi_size; /* without the NUL */

void sp_res_openapi(struct sp_call *call)
{
	call->reply.status = 200;
	call->reply.type = "application/yaml";
	call->reply.fixed = sp_openapi_text;
	call->reply.size = sp_openapi_size;
}
