package warden

// Withheld are the Landlock rights (linux/landlock.h) that the agent's domain
// must handle and must not grant in a guarded tree: MAKE_CHAR, MAKE_DIR,
// MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM and REFER. They exist
// since version 2 of Landlock's interface (Linux 5.19).
const Withheld uint64 = 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800 | 0x1000 | 0x2000
