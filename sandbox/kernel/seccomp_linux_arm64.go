package kernel

// SysSeccomp is seccomp(2)'s number.
const SysSeccomp = 277
