package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attackCompat makes a 32-bit system call: int 0x80.
func attackCompat([]string) {
	code := []byte{0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3} // mov eax, getpid; int 0x80; ret
	mem, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		fmt.Println("cannot try:", err)
		return
	}
	copy(mem, code)
	p := unsafe.Pointer(&mem[0])
	f := unsafe.Pointer(&p)
	(*(*func())(unsafe.Pointer(&f)))()
	fmt.Println("SUCCEEDED: a 32-bit call returned")
}

func dup2(from, to int) error { return unix.Dup2(from, to) }
