#include "textflag.h"

// func vfork(nr, a1, a2, a3 uintptr) (r, errno uintptr)
//
// The child runs on the parent's stack while the parent waits. The return
// address is in the link register, of which each of the two has its own.
TEXT ·vfork(SB),NOSPLIT,$0-48
	MOVD	a1+8(FP), R0
	MOVD	a2+16(FP), R1
	MOVD	a3+24(FP), R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$0, R5
	MOVD	nr+0(FP), R8
	SVC
	CMN	$4095, R0
	BCC	ok
	MOVD	$-1, R4
	MOVD	R4, r+32(FP)
	NEG	R0, R0
	MOVD	R0, errno+40(FP)
	RET
ok:
	MOVD	R0, r+32(FP)
	MOVD	ZR, errno+40(FP)
	RET
