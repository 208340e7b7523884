/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch between two stacks on aarch64 (AAPCS64) and the first frame of a coroutine. Saved
 * are x19-x30, d8-d15 and, as the caller gives it, FPCR; there is no red zone. Both ends of a
 * switch have one frame layout, so the CFI holds before and after sp moves.
 * Guarded control stacks are not followed: the property note offers BTI only.
 */

#define FRAME 176
#define FPU   160

	.text

/* The frame's registers, as offsets from the CFA of coro_switch()'s caller. */
	.macro	cfi_frame
	.cfi_offset 29, 0 - FRAME
	.cfi_offset 30, 8 - FRAME
	.cfi_offset 19, 16 - FRAME
	.cfi_offset 20, 24 - FRAME
	.cfi_offset 21, 32 - FRAME
	.cfi_offset 22, 40 - FRAME
	.cfi_offset 23, 48 - FRAME
	.cfi_offset 24, 56 - FRAME
	.cfi_offset 25, 64 - FRAME
	.cfi_offset 26, 72 - FRAME
	.cfi_offset 27, 80 - FRAME
	.cfi_offset 28, 88 - FRAME
	.cfi_offset 72, 96 - FRAME
	.cfi_offset 73, 104 - FRAME
	.cfi_offset 74, 112 - FRAME
	.cfi_offset 75, 120 - FRAME
	.cfi_offset 76, 128 - FRAME
	.cfi_offset 77, 136 - FRAME
	.cfi_offset 78, 144 - FRAME
	.cfi_offset 79, 152 - FRAME
	.endm

/* void coro_switch(void **save_sp, void *to_sp, struct coro_fpu fpu) */
	.globl	coro_switch
	.hidden	coro_switch
	.type	coro_switch, %function
	.p2align 6
coro_switch:
	.cfi_startproc
	hint	#34 /* bti c */
	stp	x29, x30, [sp, #-FRAME]!
	.cfi_def_cfa_offset FRAME
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	cfi_frame
	str	x2, [sp, #FPU]
	mov	x9, sp
	str	x9, [x0]
	mov	sp, x1
	/* Writing FPCR drains the pipeline: only where it differs. */
	ldr	x10, [sp, #FPU]
	mrs	x11, fpcr
	cmp	x10, x11
	b.ne	2f
1:	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	ldp	x29, x30, [sp], #FRAME
	.cfi_remember_state
	.cfi_def_cfa_offset 0
	.irp	r, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 72, 73, 74, 75, 76, 77, 78, 79
	.cfi_restore \r
	.endr
	ret
	.cfi_restore_state
2:	msr	fpcr, x10
	b	1b
	.cfi_endproc
	.size	coro_switch, . - coro_switch

/* void coro_walk(void *sp, void (*fn)(void *arg), void *arg): from `mov x19` on an unwinder
 * finds the registers of coro_switch()'s caller at sp (x0), instead of ours. */
	.globl	coro_walk
	.hidden	coro_walk
	.type	coro_walk, %function
	.p2align 4
coro_walk:
	.cfi_startproc
	hint	#34
	stp	x29, x30, [sp, #-32]!
	.cfi_def_cfa_offset 32
	.cfi_offset 29, -32
	.cfi_offset 30, -24
	str	x19, [sp, #16]
	.cfi_offset 19, -16
	mov	x19, x0
	.cfi_remember_state
	.cfi_def_cfa 19, FRAME
	cfi_frame
	mov	x0, x2
	blr	x1
	.cfi_restore_state
	ldr	x19, [sp, #16]
	.cfi_restore 19
	ldp	x29, x30, [sp], #32
	.cfi_def_cfa_offset 0
	.cfi_restore 29
	.cfi_restore 30
	ret
	.cfi_endproc
	.size	coro_walk, . - coro_walk

/* Where a fresh coroutine starts: coro_prepare() put entry into x19 and its argument into x20.
 * entry never returns. The undefined return address ends every backtrace here. */
	.globl	coro_trampoline
	.hidden	coro_trampoline
	.type	coro_trampoline, %function
	.p2align 4
coro_trampoline:
	.cfi_startproc
	.cfi_undefined 30
	.cfi_undefined 29
	hint	#34
	mov	x0, x20
	blr	x19
	brk	#0
	.cfi_endproc
	.size	coro_trampoline, . - coro_trampoline

	.section .note.gnu.property, "a", %note
	.p2align 3
	.word	4
	.word	16
	.word	5
	.asciz	"GNU"
	.word	0xc0000000
	.word	4
	.word	1
	.word	0

	.section .note.GNU-stack, "", %progbits
