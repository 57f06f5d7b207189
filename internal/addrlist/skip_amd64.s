#include "textflag.h"

// func skipBlocks(a, b *byte, blocks int, c, d uint64) int
//
// SSE2, which every amd64 has: an octet of X4 to X7 is 0 where both octets are as
// they are looked for, and the least of the four tells whether one is.
TEXT ·skipBlocks(SB), NOSPLIT, $0-48
	MOVQ a+0(FP), SI
	MOVQ b+8(FP), DI
	MOVQ blocks+16(FP), CX
	MOVQ c+24(FP), X0
	MOVQ d+32(FP), X1
	MOVQ $0x5f5f5f5f5f5f5f5f, AX // letter
	MOVQ AX, X2
	PUNPCKLQDQ X0, X0
	PUNPCKLQDQ X1, X1
	PUNPCKLQDQ X2, X2
	PXOR X3, X3
	XORQ BX, BX

loop:
	CMPQ BX, CX
	JGE  done
	MOVOU 0(SI), X4
	MOVOU 0(DI), X8
	MOVOU 16(SI), X5
	MOVOU 16(DI), X9
	MOVOU 32(SI), X6
	MOVOU 32(DI), X10
	MOVOU 48(SI), X7
	MOVOU 48(DI), X11
	PXOR X0, X4
	PXOR X1, X8
	PXOR X0, X5
	PXOR X1, X9
	PXOR X0, X6
	PXOR X1, X10
	PXOR X0, X7
	PXOR X1, X11
	POR  X8, X4
	POR  X9, X5
	POR  X10, X6
	POR  X11, X7
	PAND X2, X4
	PAND X2, X5
	PAND X2, X6
	PAND X2, X7
	PMINUB X5, X4
	PMINUB X7, X6
	PMINUB X6, X4
	PCMPEQB X3, X4
	PMOVMSKB X4, AX
	TESTL AX, AX
	JNZ  done
	ADDQ $64, SI
	ADDQ $64, DI
	INCQ BX
	JMP  loop

done:
	MOVQ BX, ret+40(FP)
	RET
