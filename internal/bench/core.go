package main

import (
	"fmt"
	"os"
	"os/exec"
)

// core runs the benchmarks of the decision and of the log, which print their
// own ratios.
func (b *bench) core() (bool, error) {
	fmt.Println("\ndecision and durable record")
	c := exec.Command("go", "test", "-run", "^$", "-bench", "Decide|Append|Intent", "-benchmem", "./grants", "./audit")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	err := c.Run()
	return err == nil, err
}
