/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The switch between two stacks on x86-64 (System V ABI) and the first frame of a coroutine.
 * Saved are the callee-saved registers, the control bits of mxcsr and the x87 control word;
 * the signal mask is not. `ret` rather than an indirect jump: goroutines that park through the
 * same call chain leave a return-address predictor that fits the next one.
 * Both ends of a switch have one frame layout, so the CFI holds before and after %rsp moves.
 * Shadow stacks are not followed: the object's property note offers IBT only.
 */

	.text

/* void coro_switch(void **save_sp, void *to_sp) */
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
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movl	(%rsp), %eax
	movzwl	4(%rsp), %ecx
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	/* Loading either word costs more than the rest of the switch: only where it differs.
	 * The low six bits of mxcsr are status, which the ABI does not keep. */
	xorl	(%rsp), %eax
	testl	$0xffc0, %eax
	jne	3f
1:	cmpw	4(%rsp), %cx
	jne	4f
2:	addq	$8, %rsp
	.cfi_remember_state
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
	.cfi_restore_state
3:	ldmxcsr	(%rsp)
	jmp	1b
4:	fldcw	4(%rsp)
	jmp	2b
	.cfi_endproc
	.size	coro_switch, . - coro_switch

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
