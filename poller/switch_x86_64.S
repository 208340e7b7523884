/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch between two stacks on x86-64 (System V ABI) and the first frame of a coroutine.
 * Saved are the callee-saved registers and, as the caller gives them, mxcsr and the x87 control
 * word; the signal mask is not. `ret` rather than an indirect jump: goroutines that park through
 * the same call chain leave a return-address predictor that fits the next one.
 * Both ends of a switch have one frame layout, so the CFI holds before and after %rsp moves.
 * Shadow stacks are not followed: the object's property note offers IBT only.
 */

	.text

/* void coro_switch(void **save_sp, void *to_sp, struct coro_fpu fpu) */
	.globl	coro_switch
	.hidden	coro_switch
	.type	coro_switch, @function
	.p2align 6
coro_switch:
	.cfi_startproc
	endbr64
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	pushq	%rdx
	.cfi_adjust_cfa_offset 8
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	/* Loading is cheap where reading is not: 0.3 and 0.9 ns. */
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	ret
	.cfi_endproc
	.size	coro_switch, . - coro_switch

/* void coro_walk(void *sp, void (*fn)(void *arg), void *arg): while %rbx holds sp, an unwinder
 * finds the registers of coro_switch()'s caller there, instead of ours. */
	.globl	coro_walk
	.hidden	coro_walk
	.type	coro_walk, @function
	.p2align 4
coro_walk:
	.cfi_startproc
	endbr64
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	movq	%rdi, %rbx
	.cfi_remember_state
	.cfi_def_cfa %rbx, 64
	.cfi_offset %rip, -8
	.cfi_offset %rbp, -16
	.cfi_offset %rbx, -24
	.cfi_offset %r12, -32
	.cfi_offset %r13, -40
	.cfi_offset %r14, -48
	.cfi_offset %r15, -56
	movq	%rdx, %rdi
	call	*%rsi
	.cfi_restore_state
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	ret
	.cfi_endproc
	.size	coro_walk, . - coro_walk

/* Where a fresh coroutine starts: coro_prepare() put entry into %r12 and its argument into
 * %r13. entry never returns. The undefined return address ends every backtrace here. */
	.globl	coro_trampoline
	.hidden	coro_trampoline
	.type	coro_trampoline, @function
	.p2align 4
coro_trampoline:
	.cfi_startproc
	.cfi_undefined %rip
	.cfi_undefined %rbp
	endbr64
	movq	%r13, %rdi
	call	*%r12
	ud2
	.cfi_endproc
	.size	coro_trampoline, . - coro_trampoline

/* int pl_chan_wait(struct pl_chan *c, void *elem, struct g *g, bool send): chan.h says why it
 * ends in a jump, and why there is one of it. What it jumps to follows a call and has no
 * endbr64, hence notrack. */
	.globl	pl_chan_wait
	.hidden	pl_chan_wait
	.hidden	__chan_wait_local
	.type	pl_chan_wait, @function
	.p2align 4
pl_chan_wait:
	.cfi_startproc
	endbr64
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	call	__chan_wait_local
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rcx
	notrack jmp	*%rcx
	.cfi_endproc
	.size	pl_chan_wait, . - pl_chan_wait

	.section .note.gnu.property, "a", @note
	.p2align 3
	.long	4
	.long	16
	.long	5
	.asciz	"GNU"
	.long	0xc0000002
	.long	4
	.long	1
	.long	0

	.section .note.GNU-stack, "", @progbits
