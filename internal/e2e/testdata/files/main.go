// Command files makes, writes and removes files in its working directory for
// three seconds, four at a time, and prints every error.
package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

func main() {
	end := time.Now().Add(3 * time.Second)
	var w sync.WaitGroup
	for id := range 4 {
		w.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				if err := once(fmt.Sprintf("made-%d-%d", id, i)); err != nil {
					fmt.Println("error:", err)
				}
			}
		})
	}
	w.Wait()
	fmt.Println("end")
}

func once(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.WriteString("text"); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Remove(name)
}
