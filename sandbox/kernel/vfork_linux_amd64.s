#include "textflag.h"

// func vfork(nr, a1, a2, a3 uintptr) (r, errno uintptr)
//
// The child runs on the parent's stack while the parent waits, and overwrites
// what lies below this frame. The return address is kept in a register, of
// which each of the two has its own.
TEXT ·vfork(SB),NOSPLIT|NOFRAME,$0-48
	MOVQ	a1+8(FP), DI
	MOVQ	a2+16(FP), SI
	MOVQ	a3+24(FP), DX
	XORL	R10, R10
	XORL	R8, R8
	XORL	R9, R9
	MOVQ	nr+0(FP), AX
	POPQ	R12
	SYSCALL
	PUSHQ	R12
	CMPQ	AX, $0xfffffffffffff001
	JLS	ok
	MOVQ	$-1, r+32(FP)
	NEGQ	AX
	MOVQ	AX, errno+40(FP)
	RET
ok:
	MOVQ	AX, r+32(FP)
	MOVQ	$0, errno+40(FP)
	RET
