//go:build lean

#include "textflag.h"

// Where the lean program begins, if it is linked with -E main.entry as make build
// does: it puts onlyOne last into the environment, and goes on to the Go runtime,
// which reads it before anything runs. With one processor the runtime starts no
// threads that one session has nothing to do for, and dropping root does not have
// to stop them (lean.go).
//
// The kernel leaves at 0(SP) the number of arguments, the arguments and a null,
// the environment and a null, and what the kernel itself has to say. Down to the
// second null all moves by one place, which makes the room.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	MOVQ SP, SI
	LEAQ -8(SP), DI
	MOVQ DI, SP
	MOVQ 0(SI), CX
	ADDQ $2, CX
	CLD
	REP
	MOVSQ

environment:
	MOVQ  0(SI), AX
	TESTQ AX, AX
	JZ    last
	MOVSQ
	JMP   environment

last:
	LEAQ ·onlyOne(SB), AX
	MOVQ AX, 0(DI)
	JMP  _rt0_amd64_linux(SB)

DATA ·onlyOne+0(SB)/8, $"GOMAXPRO"
DATA ·onlyOne+8(SB)/8, $"CS=01\x00\x00\x00"
GLOBL ·onlyOne(SB), RODATA|NOPTR, $16
