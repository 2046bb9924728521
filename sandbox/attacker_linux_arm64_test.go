package sandbox

import "fmt"

// attackCompat has nothing to try: few arm64 processors run 32-bit code.
func attackCompat([]string) { fmt.Println("not tried on this architecture") }
