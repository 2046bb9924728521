package sandbox

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	hugePage  = 2 << 20
	hugeTries = 6 // each takes some 20 ms for a file of 36 MB
)

// HugeProgram has the kernel keep the file of this program in huge pages, so that a
// process that starts from it takes one fault for 2 MiB of code instead of one for
// each 64 KiB (ext4 since Linux 6.16). What the kernel holds of the file is let go of and
// read again. It does neither with what another process has mapped, nor for somebody who
// may not write to the file. It says whether the code is in huge pages now; where it
// is not, nothing is lost but that.
func HugeProgram() (bool, error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return false, fmt.Errorf("cannot open this program: %w", err)
	}
	defer f.Close()
	parts, err := mapped(f)
	if err != nil || len(parts) == 0 {
		return false, err
	}
	huge, all, err := readHuge(f, parts)
	for try := 0; try < hugeTries && huge < all && err == nil; try++ {
		if try == 2 && huge == 0 {
			break // this file system has none
		}
		// Whatever runs meanwhile reads small pages again where it is.
		if err := letGo(f, parts); err != nil {
			return false, err
		}
		huge, all, err = readHuge(f, parts)
	}
	return err == nil && all > 0 && huge >= all, err
}

// part is a piece of a file as a process has mapped it, in bytes.
type part struct{ start, end, offset uintptr }

// advise tells the kernel about a part's memory (madvise(2)).
func (p part) advise(advice uintptr) error {
	if _, _, e := unix.Syscall(unix.SYS_MADVISE, p.start, p.end-p.start, advice); e != 0 {
		return e
	}
	return nil
}

// letGo has the kernel forget what it holds of the file: what nobody has mapped, and
// then what only this process has, which from here on is read by huge pages.
func letGo(f *os.File, parts []part) error {
	fd := int(f.Fd())
	if err := unix.Fdatasync(fd); err != nil { // what is not written yet stays
		return fmt.Errorf("cannot write this program's file out: %w", err)
	}
	for _, p := range parts {
		if err := p.advise(unix.MADV_HUGEPAGE); err != nil {
			return fmt.Errorf("cannot ask for huge pages: %w", err)
		}
	}
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("cannot let go of this program's file: %w", err)
	}
	for _, p := range parts {
		if err := p.advise(unix.MADV_PAGEOUT); err != nil {
			return fmt.Errorf("cannot let go of this program's pages: %w", err)
		}
	}
	return nil
}

// readHuge reads the huge pages that lie within the parts, and says how many bytes of
// all are in such. It looks by another mapping, because the program's own keeps its
// small ones.
func readHuge(f *os.File, parts []part) (huge, all uintptr, err error) {
	for _, p := range parts {
		all = max(all, p.offset+p.end-p.start)
	}
	all &^= hugePage - 1
	if all == 0 {
		return 0, 0, nil
	}
	room, err := unix.Mmap(-1, 0, int(all)+hugePage, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return 0, all, fmt.Errorf("cannot find room for this program's file: %w", err)
	}
	defer unix.Munmap(room)
	skip := -uintptr(unsafe.Pointer(&room[0])) & (hugePage - 1)
	at := unsafe.Pointer(&room[skip])
	if _, err := unix.MmapPtr(int(f.Fd()), 0, at, all, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_FIXED); err != nil {
		return 0, all, fmt.Errorf("cannot map this program's file: %w", err)
	}
	view := room[skip:][:all]
	if err := unix.Madvise(view, unix.MADV_HUGEPAGE); err != nil {
		return 0, 0, nil // the kernel knows none
	}
	if err := unix.Madvise(view, unix.MADV_POPULATE_READ); err != nil {
		return 0, all, fmt.Errorf("cannot read this program's file: %w", err)
	}
	huge, err = inHugePages(uintptr(at))
	return huge, all, err
}

// mapped reads which parts of the file this process has mapped and never writes
// (proc_pid_maps(5)).
func mapped(f *os.File) (parts []part, err error) {
	name, err := os.Readlink(f.Name())
	if err != nil {
		return nil, err
	}
	err = eachLine("/proc/self/maps", func(line string) {
		var p part
		var mode string
		n, _ := fmt.Sscanf(line, "%x-%x %s %x", &p.start, &p.end, &mode, &p.offset)
		if n != 4 || strings.Contains(mode, "w") || !strings.HasSuffix(line, " "+name) {
			return
		}
		if last := len(parts) - 1; last >= 0 && parts[last].end == p.start {
			parts[last].end = p.end // code, and what is only read, are let go of in one step
			return
		}
		parts = append(parts, p)
	})
	return parts, err
}

// inHugePages reads how many bytes of the mapping at an address are in huge pages of
// a file (proc_pid_smaps(5)).
func inHugePages(at uintptr) (bytes uintptr, err error) {
	start, within := fmt.Sprintf("%x-", at), false
	err = eachLine("/proc/self/smaps", func(line string) {
		first, rest, _ := strings.Cut(line, " ")
		var kb uintptr
		switch {
		case !strings.HasSuffix(first, ":"):
			within = strings.HasPrefix(first, start)
		case within && first == "FilePmdMapped:":
			if n, _ := fmt.Sscanf(rest, "%d kB", &kb); n == 1 {
				bytes = kb << 10
			}
		}
	})
	return bytes, err
}

func eachLine(name string, do func(string)) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		do(lines.Text())
	}
	return lines.Err()
}
